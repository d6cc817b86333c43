// Package h1 is the HTTP/1.1 wire without I/O: strict parsers of request and
// response heads, a body decoder, and writers. It has no socket, clock or goroutine.
//
// Everything parsed aliases the input, and a warm [Request], [Response] or [Body]
// allocates nothing, so one of each for a loop or an exchange lasts for ever.
//
//	n, err := req.Parse(buf, h1.Limits{})       // n == 0 && err == nil: more bytes are needed
//	if err != nil {                             // always an *h1.Error
//		out = h1.AppendError(out, h1.ErrorResponse{Err: err.(*h1.Error), Close: true})
//		return
//	}
//	body.Reset(req.Body, req.Length)            // then body.Next(buf[n:]) until body.Done()
//	out = h1.AppendRequestLine(out, req.Method, req.Path, req.Query, req.HasQuery)
//
// Guarantees: what is malformed or ambiguous under RFC 9110 and RFC 9112 is an error
// and never repaired; whatever a parser accepts, net/http reads the same way (the fuzz
// targets hold it to that); every buffer and every loop is bounded by [Limits].
//
// Where the RFCs leave a choice the package refuses: bare CR or LF, obs-fold, any
// repeated Content-Length, any Transfer-Encoding but exactly "chunked", userinfo,
// non-ASCII in a target or host, and a Connection field that nominates a field which
// everybody on the path needs. Not here: CONNECT and TRACE are parsed, not judged;
// paths are not normalised.
package h1
