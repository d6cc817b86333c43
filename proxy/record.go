package proxy

import (
	"bytes"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"
)

// The access record: one line for each exchange, written without allocating.
// Paths and hosts come from outside: whatever could break a line or its JSON is escaped.

// accessLog gathers the lines of one call of the driver.
type accessLog struct {
	access
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

// record is what is kept of a request until its record is written.
type record struct {
	target       []byte // method, host and path, one behind the other; nil: nothing is recorded
	method, host int    // where they end
	trace        [32]byte
	traced       bool
}

// beginRecord keeps what aliases the loop's buffers.
func (x *exchange) beginRecord() {
	l, r := x.l, &x.l.req
	if l.log.sink == nil {
		return
	}
	x.rec = record{target: l.getBuffer()}
	x.rec.set(r.Method, r.Host, r.Path)
	if v, n := r.Field("traceparent"); n == 1 {
		x.rec.traced = traceID(&x.rec.trace, v)
	}
}

// recordTarget puts host and path into the record in the one form that is routed,
// authorised and forwarded. What never got one is recorded as it was sent.
func (x *exchange) recordTarget(host, path []byte) {
	r := &x.l.req
	if x.l.log.sink == nil || bytes.Equal(host, r.Host) && bytes.Equal(path, r.Path) {
		return
	}
	x.rec.set(r.Method, host, path)
}

func (r *record) set(method, host, path []byte) {
	b := append(r.target[:0], method...)
	r.method = len(b)
	b = append(b, host...)
	r.host = len(b)
	r.target = append(b, path...)
}

// traceID takes the trace ID of a traceparent field (W3C Trace Context, section 3.2.2): version,
// 32 hexadecimal digits that are not all zero, parent, flags. False: it is none.
func traceID(dst *[32]byte, v []byte) bool {
	const id, parent, flags = 3, 36, 53 // where they begin
	if len(v) < 55 || v[2] != '-' || v[parent-1] != '-' || v[flags-1] != '-' || !isHex(v[:2]) || string(v[:2]) == "ff" ||
		len(v) > 55 && (v[1] == '0' && v[0] == '0' || v[55] != '-') || !isHex(v[id:parent-1]) || !isHex(v[parent:flags-1]) || !isHex(v[flags:55]) {
		return false
	}
	copy(dst[:], v[id:])
	return !allZero(v[id:parent-1]) && !allZero(v[parent:flags-1])
}

func isHex(b []byte) bool {
	for _, c := range b {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return true
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != '0' {
			return false
		}
	}
	return true
}

// endRecord writes the line and counts the exchange.
func (x *exchange) endRecord() {
	l := x.l
	took := l.now().Sub(x.started)
	l.book.of(x.route).count(x.method, x.status, took)
	if l.log.sink == nil {
		return
	}
	if !x.sampledOut() {
		if l.log.template == nil {
			l.log.buf = x.appendRecord(l.log.buf, took)
		} else {
			l.log.buf = x.appendTemplate(l.log.buf, took)
		}
	}
	l.putBuffer(x.rec.target)
	x.rec = record{}
}

// wentWell says that the upstream answered, and all of it arrived.
func (x *exchange) wentWell() bool { return x.status < 400 && x.reason == "" && x.dropErr == nil }

// sampledOut says that another exchange's record stands for this one's.
func (x *exchange) sampledOut() bool {
	n := x.l.log.sample
	if n <= 1 || !x.wentWell() {
		return false
	}
	h := uint64(14695981039346656037) // FNV-1a: replicas that see one ID choose alike
	for _, c := range x.id.bytes() {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return (h^h>>32)%n != 0
}

// appendRecord is the record as JSON, with what it has.
func (x *exchange) appendRecord(b []byte, took time.Duration) []byte {
	b = append(b, `{"time":"`...)
	b = x.l.log.appendTime(b, x.l.now())
	b = append(b, `","msg":"exchange"`...)
	for f := recRequestID; f < numAccessFields; f++ {
		before := len(b)
		b = append(b, ',', '"')
		b = append(b, accessFields[f]...)
		b = append(b, '"', ':')
		quoted := !isNumber(f)
		if quoted {
			b = append(b, '"')
		}
		filled, ok := x.appendField(b, f, took)
		if !ok {
			b = b[:before]
			continue
		}
		if b = filled; quoted {
			b = append(b, '"')
		}
	}
	return append(b, "}\n"...)
}

// appendTemplate is the record as the operator wants it.
func (x *exchange) appendTemplate(b []byte, took time.Duration) []byte {
	for _, s := range x.l.log.template {
		b = append(b, s.text...)
		if s.field == literal {
			continue
		}
		before := len(b)
		if b, _ = x.appendField(b, s.field, took); len(b) == before {
			b = append(b, '-')
		}
	}
	return append(b, '\n')
}

func isNumber(f accessField) bool {
	switch f {
	case recStatus, recBytesIn, recBytesOut, recDuration, recSample:
		return true
	}
	return false
}

// appendField appends a field's value, escaped as within a JSON string. False: there is none, or it
// is redacted, and b is as it was.
func (x *exchange) appendField(b []byte, f accessField, took time.Duration) ([]byte, bool) {
	r := &x.rec
	if x.l.log.redact[f] {
		if f != recPeer {
			return b, false
		}
		return appendNetwork(b, x.d.ends.remote.Addr()), true
	}
	switch f {
	case recTime:
		return x.l.log.appendTime(b, x.l.now()), true
	case recRequestID:
		return append(b, x.id.bytes()...), true
	case recTraceID:
		if r.traced {
			return append(b, r.trace[:]...), true
		}
	case recListener:
		return appendEscaped(b, x.d.ln.cfg.Name), true
	case recPeer:
		return x.d.ends.remote.AppendTo(b), true
	case recProtocol:
		return append(append(b, "http/"...), x.version.String()...), true
	case recMethod:
		return appendEscaped(b, r.target[:r.method]), true
	case recHost:
		return appendEscaped(b, r.target[r.method:r.host]), true
	case recPath:
		return appendEscaped(b, r.target[r.host:]), true
	case recRoute:
		if x.route != nil {
			return appendEscaped(b, x.route.Name), true
		}
	case recUser:
		if x.identity != nil {
			return appendEscaped(b, x.identity.User), true
		}
	case recStatus:
		return strconv.AppendInt(b, int64(x.status), 10), true
	case recReason:
		if x.reason != "" {
			return appendEscaped(b, x.reason), true
		}
	case recErr:
		if x.dropErr != nil {
			return appendEscaped(b, x.dropErr.Error()), true
		}
	case recBytesIn:
		return strconv.AppendInt(b, x.bytesIn, 10), true
	case recBytesOut:
		return strconv.AppendInt(b, x.bytesOut, 10), true
	case recDuration:
		return appendMillis(b, took), true
	case recSample:
		if x.l.log.sample > 1 && x.wentWell() {
			return strconv.AppendUint(b, x.l.log.sample, 10), true
		}
	}
	return b, false
}

// appendNetwork writes the network that a redacted address is in.
func appendNetwork(b []byte, a netip.Addr) []byte {
	bits := 48
	if a = a.Unmap(); a.Is4() {
		bits = 24
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil || !a.IsValid() {
		return append(b, '-')
	}
	return p.AppendTo(b)
}

// appendMillis writes a duration in milliseconds with three digits of fraction.
func appendMillis(b []byte, d time.Duration) []byte {
	us := max(d.Microseconds(), 0)
	b = strconv.AppendInt(b, us/1000, 10)
	f := us % 1000
	return append(b, '.', byte('0'+f/100), byte('0'+f/10%10), byte('0'+f%10))
}

// appendEscaped appends s as it stands in a JSON string. Control bytes, quotes, backslashes and what
// is not ASCII are escaped.
func appendEscaped[T string | []byte](b []byte, s T) []byte {
	const digits = "0123456789abcdef"
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
	return b
}
