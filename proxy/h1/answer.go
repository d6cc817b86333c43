package h1

import "strconv"

// Header is a field of an answer of our own.
type Header struct{ Name, Value string }

// ErrorResponse is a response that the proxy makes itself. Unless it has a Body of its own it is text/plain, and its
// body names the reason, so that curl shows it.
type ErrorResponse struct {
	Status int      // 0 with Err set: Err.Status
	Reason string   // constant word from a closed set, in X-Sluice-Reason; empty: none, or Err.Reason
	Text   string   // one sentence for people; empty: the status phrase, or Err.Detail
	Err    *Error   // what the parser found; may be nil
	Fields []Header // further fields: Retry-After, WWW-Authenticate, ...
	Date   []byte   // a whole field line, as AppendDate writes it; empty: no Date field
	Close  bool     // say Connection: close; the caller then closes
	Head   bool     // answers HEAD: announce the body, but send none

	Body      []byte // instead of that text; Fields say what it is, and whether it may be kept
	RequestID []byte // in X-Request-ID, so that a user can quote it; empty: none
	KeepAlive bool   // say Connection: keep-alive, which an HTTP/1.0 client needs to hear
}

// AppendError appends the whole response. It does not allocate beyond dst.
func AppendError(dst []byte, e ErrorResponse) []byte {
	if e.Err != nil {
		if e.Status == 0 {
			e.Status = e.Err.Status
		}
		if e.Reason == "" {
			e.Reason = e.Err.Reason
		}
		if e.Text == "" {
			e.Text = e.Err.Detail
		}
	}
	phrase := StatusText(e.Status)
	dst = AppendStatusLine(dst, e.Status, "")
	dst = append(dst, e.Date...)
	dst = append(dst, "X-Content-Type-Options: nosniff\r\n"...)
	if e.Body == nil {
		dst = append(dst, "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"...)
	}
	if e.Reason != "" {
		dst = AppendField(dst, "X-Sluice-Reason", e.Reason)
	}
	for i := range e.Fields {
		dst = AppendField(dst, e.Fields[i].Name, e.Fields[i].Value)
	}
	if len(e.RequestID) > 0 {
		dst = AppendField(dst, "X-Request-ID", e.RequestID)
	}
	switch {
	case e.Close:
		dst = append(dst, "Connection: close\r\n"...)
	case e.KeepAlive:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	size := 3 + 1 + len(phrase) + 1 // "503 Phrase\n"
	if e.Text != "" {
		size += 2 + len(e.Text) // ": text"
	}
	if e.Body != nil {
		size = len(e.Body)
	}
	dst = AppendIntField(dst, "Content-Length", int64(size))
	dst = append(dst, "\r\n"...)
	switch {
	case e.Head:
		return dst
	case e.Body != nil:
		return append(dst, e.Body...)
	}
	dst = strconv.AppendInt(dst, int64(e.Status), 10)
	dst = append(dst, ' ')
	dst = append(dst, phrase...)
	if e.Text != "" {
		dst = append(dst, ": "...)
		dst = append(dst, e.Text...)
	}
	return append(dst, '\n')
}

// StatusText is the reason phrase of the status codes that a proxy makes itself
// (RFC 9110 section 15); "Status" for any other.
func StatusText(status int) string {
	switch status {
	case 100:
		return "Continue"
	case 101:
		return "Switching Protocols"
	case 200:
		return "OK"
	case 302:
		return "Found"
	case 303:
		return "See Other"
	case 400:
		return "Bad Request"
	case 401:
		return "Unauthorized"
	case 403:
		return "Forbidden"
	case 404:
		return "Not Found"
	case 405:
		return "Method Not Allowed"
	case 408:
		return "Request Timeout"
	case 411:
		return "Length Required"
	case 413:
		return "Content Too Large"
	case 414:
		return "URI Too Long"
	case 417:
		return "Expectation Failed"
	case 421:
		return "Misdirected Request"
	case 429:
		return "Too Many Requests"
	case 431:
		return "Request Header Fields Too Large"
	case 500:
		return "Internal Server Error"
	case 501:
		return "Not Implemented"
	case 502:
		return "Bad Gateway"
	case 503:
		return "Service Unavailable"
	case 504:
		return "Gateway Timeout"
	case 505:
		return "HTTP Version Not Supported"
	}
	return "Status"
}
