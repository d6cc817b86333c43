package proxy

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"
)

// The access record: one JSON line for each exchange, written without allocating.
// Paths and hosts come from outside: whatever could break a line or its JSON is escaped.

// accessLog gathers the lines of one call of the driver.
type accessLog struct {
	sink AccessSink
	buf  []byte

	stamp  []byte // of the millisecond stamped
	millis int64
}

// appendTime writes a time in UTC with milliseconds; within one of them it is formatted once.
func (a *accessLog) appendTime(b []byte, t time.Time) []byte {
	if ms := t.UnixMilli(); ms != a.millis || a.stamp == nil {
		a.millis = ms
		a.stamp = t.UTC().AppendFormat(a.stamp[:0], "2006-01-02T15:04:05.000Z")
	}
	return append(b, a.stamp...)
}

func (a *accessLog) flush() {
	if len(a.buf) > 0 {
		a.sink.WriteLines(a.buf)
		a.buf = a.buf[:0]
	}
}

// beginRecord keeps what aliases the loop's buffers.
func (x *exchange) beginRecord() {
	if x.l.log.sink == nil {
		return
	}
	r := &x.l.req
	x.line = appendTarget(x.l.getBuffer(), r.Method, r.Host, r.Path)
}

// recordTarget puts host and path into the record in the one form that is routed,
// authorised and forwarded. What never got one is recorded as it was sent.
func (x *exchange) recordTarget(host, path []byte) {
	r := &x.l.req
	if x.l.log.sink == nil || bytes.Equal(host, r.Host) && bytes.Equal(path, r.Path) {
		return
	}
	x.line = appendTarget(x.line[:0], r.Method, host, path)
}

func appendTarget(b, method, host, path []byte) []byte {
	b = append(b, `,"method":`...)
	b = appendJSON(b, method)
	b = append(b, `,"host":`...)
	b = appendJSON(b, host)
	b = append(b, `,"path":`...)
	return appendJSON(b, path)
}

// endRecord writes the line and counts the exchange.
func (x *exchange) endRecord() {
	l := x.l
	took := l.now().Sub(x.started)
	l.book.of(x.route).count(x.method, x.status, took)
	if l.log.sink == nil {
		return
	}
	b := append(l.log.buf, `{"time":"`...)
	b = l.log.appendTime(b, l.now())
	b = append(b, `","msg":"exchange","request_id":"`...)
	b = append(b, x.id.bytes()...)
	b = append(b, `","listener":`...)
	b = appendJSON(b, x.d.ln.cfg.Name)
	b = append(b, `,"peer":"`...)
	b = x.d.ends.remote.AppendTo(b)
	b = append(b, `","protocol":"http/`...)
	b = append(b, x.version.String()...)
	b = append(b, '"')
	b = append(b, x.line...)
	if x.route != nil {
		b = append(b, `,"route":`...)
		b = appendJSON(b, x.route.Name)
	}
	if x.identity != nil {
		b = append(b, `,"user":`...)
		b = appendJSON(b, x.identity.User)
	}
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(x.status), 10)
	if x.reason != "" {
		b = append(b, `,"reason":`...)
		b = appendJSON(b, x.reason)
	}
	if x.dropErr != nil {
		b = append(b, `,"err":`...)
		b = appendJSON(b, x.dropErr.Error())
	}
	b = append(b, `,"bytes_in":`...)
	b = strconv.AppendInt(b, x.bytesIn, 10)
	b = append(b, `,"bytes_out":`...)
	b = strconv.AppendInt(b, x.bytesOut, 10)
	b = append(b, `,"dur_ms":`...)
	b = appendMillis(b, took)
	b = append(b, "}\n"...)
	l.log.buf = b
	l.putBuffer(x.line)
	x.line = nil
}

// appendMillis writes a duration in milliseconds with three digits of fraction.
func appendMillis(b []byte, d time.Duration) []byte {
	us := max(d.Microseconds(), 0)
	b = strconv.AppendInt(b, us/1000, 10)
	f := us % 1000
	return append(b, '.', byte('0'+f/100), byte('0'+f/10%10), byte('0'+f%10))
}

// appendJSON appends s as a JSON string. Control bytes, quotes, backslashes and what
// is not UTF-8 are escaped.
func appendJSON[T string | []byte](b []byte, s T) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	plain := 0
	for plain < len(s) && s[plain] >= ' ' && s[plain] < 0x7f && s[plain] != '"' && s[plain] != '\\' {
		plain++
	}
	b = append(b, s[:plain]...)
	for i := plain; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			// Heads are ASCII where it matters; any other byte is shown as Latin-1, which
			// keeps the line valid whatever was sent.
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(b, '"')
}
