// Package eventstream knows where the events of a stream end that is of type text/event-stream
// (WHATWG HTML, section 9.2 "Server-sent events"). It has no socket, clock or goroutine, and keeps
// nothing of the stream.
//
//	var f eventstream.Follower
//	n, event := f.Next(b)                     // b[:n] ends with an event, or is all of b
//	if f.Boundary() {
//		out = f.AppendRetry(out, 3*time.Second)
//	}
//
// Guarantees: lines end with LF, CR or CRLF, in any mixture; how the bytes are cut into pieces
// changes nothing. Between the CR and the LF of an empty line a field may be inserted as well: the
// LF is then one more empty line, which means nothing.
//
// Limits: a stream with a Content-Encoding is not text, and not for this package.
package eventstream

import (
	"strconv"
	"time"
)

// Follower follows one stream. The zero value stands before its first byte.
type Follower struct {
	begun   bool // some byte came
	inLine  bool // a line is under way
	comment bool // it is one
	pending bool // a line of an event came, and no empty line behind it
	cr      bool // the last byte was CR: an LF now belongs to it
}

// Next consumes the front of b: up to the end of the first event that ends in it (event is true),
// or all of it.
func (f *Follower) Next(b []byte) (n int, event bool) {
	for i, c := range b {
		f.begun = true
		after := f.cr
		f.cr = c == '\r'
		switch {
		case c == '\n' && after: // the second half of an end of line
		case c != '\r' && c != '\n':
			if !f.inLine {
				f.inLine, f.comment = true, c == ':'
			}
		case f.inLine:
			f.inLine = false
			f.pending = f.pending || !f.comment
		case f.pending: // an empty line
			f.pending = false
			return i + 1, true
		}
	}
	return len(b), false
}

// Feed consumes all of b.
func (f *Follower) Feed(b []byte) {
	for len(b) > 0 {
		n, _ := f.Next(b)
		b = b[n:]
	}
}

// Boundary reports whether the stream stands between two events: at its beginning, behind an empty
// line, or behind comments that follow one.
func (f *Follower) Boundary() bool { return !f.inLine && !f.pending }

// Begun reports whether anything came. Before that nothing but the end may be written: a byte order
// mark may come, which has to be the first.
func (f *Follower) Begun() bool { return f.begun }

// AppendRetry appends a field that has a client wait so long, in whole milliseconds, before it
// connects again. Write it at a boundary. Behind a CR it begins with LF, so that a client which
// knows CRLF and nothing else finds the end of the event as well.
func (f *Follower) AppendRetry(dst []byte, d time.Duration) []byte {
	if f.cr {
		dst = append(dst, '\n')
	}
	dst = strconv.AppendInt(append(dst, "retry: "...), max(0, d.Milliseconds()), 10)
	return append(dst, "\n\n"...)
}
