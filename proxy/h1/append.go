package h1

import (
	"strconv"
	"time"
)

// text is what a name or value to be written may come as.
type text interface{ ~string | ~[]byte }

// AppendRequestLine appends the request line of an origin-form (or asterisk-form)
// HTTP/1.1 request. The parts come from a Request or were validated by the caller.
func AppendRequestLine(dst, method, path, query []byte, hasQuery bool) []byte {
	dst = append(dst, method...)
	dst = append(dst, ' ')
	dst = append(dst, path...)
	if hasQuery {
		dst = append(dst, '?')
		dst = append(dst, query...)
	}
	return append(dst, " HTTP/1.1\r\n"...)
}

// AppendStatusLine appends an HTTP/1.1 status line. An empty reason becomes the usual
// phrase where there is one.
func AppendStatusLine[T text](dst []byte, status int, reason T) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	if len(reason) == 0 {
		dst = append(dst, StatusText(status)...)
	} else {
		dst = appendClean(dst, reason)
	}
	return append(dst, "\r\n"...)
}

// AppendField appends one field line. A control byte in value is written as a space
// (RFC 9110 section 5.5), so that no caller can split a message by accident; name is
// a token, which the caller knows.
func AppendField[N, V text](dst []byte, name N, value V) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = appendClean(dst, value)
	return append(dst, "\r\n"...)
}

// AppendIntField appends a field line with a number.
func AppendIntField[N text](dst []byte, name N, value int64) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = strconv.AppendInt(dst, value, 10)
	return append(dst, "\r\n"...)
}

// AppendDate appends a Date field, RFC 9110 section 5.6.7.
func AppendDate(dst []byte, t time.Time) []byte {
	dst = append(dst, "Date: "...)
	dst = t.UTC().AppendFormat(dst, "Mon, 02 Jan 2006 15:04:05 GMT")
	return append(dst, "\r\n"...)
}

// AppendEnd appends the empty line that ends a head.
func AppendEnd(dst []byte) []byte { return append(dst, "\r\n"...) }

func appendClean[T text](dst []byte, v T) []byte {
	from := len(dst)
	dst = append(dst, v...)
	written := dst[from:]
	for i := badControl(written); i >= 0; i = badControl(written) {
		written[i] = ' '
		written = written[i:]
	}
	return dst
}
