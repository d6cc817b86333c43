package h2

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// script is what a peer sends: written by another implementation's framer, so that ours is not judged by itself.
type script struct {
	bytes.Buffer
	fr  *http2.Framer
	enc *hpack.Encoder
	hb  bytes.Buffer
}

// newScript begins with what a client must begin with, or a server.
func newScript(client bool) *script {
	s := &script{}
	s.fr = http2.NewFramer(&s.Buffer, nil)
	s.fr.AllowIllegalWrites = true
	s.enc = hpack.NewEncoder(&s.hb)
	if client {
		s.WriteString(clientOpens)
	}
	s.fr.WriteSettings()
	return s
}

// block encodes fields given as "name=value" or ":name=value".
func (s *script) block(fields ...string) []byte {
	s.hb.Reset()
	for _, f := range fields {
		at := strings.IndexByte(f[1:], '=') + 1
		if f[0] == '=' {
			at = 0 // an empty name
		}
		s.enc.WriteField(hpack.HeaderField{Name: f[:at], Value: f[at+1:]})
	}
	return bytes.Clone(s.hb.Bytes())
}

func (s *script) headers(id uint32, end bool, fields ...string) *script {
	s.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: s.block(fields...), EndStream: end, EndHeaders: true})
	return s
}

func (s *script) get(id uint32) *script { return s.headers(id, true, getFields...) }

func (s *script) post(id uint32, more ...string) *script {
	return s.headers(id, false, append([]string{":method=POST", ":scheme=http", ":authority=x", ":path=/"}, more...)...)
}

func (s *script) data(id uint32, end bool, n int) *script {
	s.fr.WriteData(id, end, bytes.Repeat([]byte{'d'}, n))
	return s
}

func (s *script) raw(typ frameType, flags uint8, id uint32, payload ...byte) *script {
	s.Write(append(appendFrame(nil, frame{len(payload), typ, flags, id}), payload...))
	return s
}

func (s *script) word(typ frameType, id, v uint32) *script {
	s.Write(appendWord(nil, typ, id, v))
	return s
}

func (s *script) settings(kv ...uint32) *script {
	var all []http2.Setting
	for i := 0; i < len(kv); i += 2 {
		all = append(all, http2.Setting{ID: http2.SettingID(kv[i]), Val: kv[i+1]})
	}
	s.fr.WriteSettings(all...)
	return s
}

// take returns what was written, and forgets it.
func (s *script) take() []byte {
	b := bytes.Clone(s.Bytes())
	s.Reset()
	return b
}

var getFields = []string{":method=GET", ":scheme=http", ":authority=x", ":path=/"}

// recorder writes events down, one line each, and may act in them.
type recorder struct {
	c       *Conn
	log     []string
	streams map[uint32]*Stream
	onHead  func(s *Stream, fields []Field, end bool)
	onData  func(s *Stream, b []byte, end bool)
	onLast  func(s *Stream) // Done, Reset
	onRoom  func(s *Stream)
}

func newServer(cfg Config) (*Conn, *recorder) {
	r := &recorder{streams: map[uint32]*Stream{}}
	r.c = New(cfg, r)
	return r.c, r
}

func newClient(cfg Config) (*Conn, *recorder) {
	cfg.Client = true
	return newServer(cfg)
}

func (r *recorder) note(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

// events returns the log, and forgets it.
func (r *recorder) events() string {
	s := strings.Join(r.log, "\n")
	r.log = nil
	return s
}

func show(fields []Field) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, " %s=%s", f.Name, f.Value)
		if f.Sensitive {
			b.WriteString("(never)")
		}
	}
	return b.String()
}

func ending2(end bool) string {
	if end {
		return " end"
	}
	return ""
}

func (r *recorder) Head(s *Stream, fields []Field, end bool) {
	r.streams[s.ID()] = s
	r.note("head %d%s%s", s.ID(), show(fields), ending2(end))
	if r.onHead != nil {
		r.onHead(s, fields, end)
	}
}
func (r *recorder) Interim(s *Stream, fields []Field) { r.note("interim %d%s", s.ID(), show(fields)) }
func (r *recorder) TooLarge(s *Stream) {
	r.streams[s.ID()] = s
	r.note("too large %d", s.ID())
}
func (r *recorder) Data(s *Stream, b []byte, end bool) {
	r.note("data %d %d%s", s.ID(), len(b), ending2(end))
	if r.onData != nil {
		r.onData(s, b, end)
	}
}
func (r *recorder) Trailers(s *Stream, fields []Field) { r.note("trailers %d%s", s.ID(), show(fields)) }
func (r *recorder) Reset(s *Stream, why Cause) {
	r.note("reset %d %v local=%v unprocessed=%v %s", s.ID(), why.Code, why.Local, why.Unprocessed, why.Reason)
	r.last(s)
}
func (r *recorder) Done(s *Stream) {
	r.note("done %d", s.ID())
	r.last(s)
}
func (r *recorder) last(s *Stream) {
	delete(r.streams, s.ID())
	if r.onLast != nil {
		r.onLast(s)
	}
}
func (r *recorder) Room(s *Stream) {
	r.note("room %d", s.ID())
	if r.onRoom != nil {
		r.onRoom(s)
	}
}
func (r *recorder) Refused(id uint32, why Reason) { r.note("refused %d %s", id, why) }
func (r *recorder) Settings()                     { r.note("settings") }
func (r *recorder) GoAway(last uint32, code ErrorCode, debug []byte) {
	r.note("goaway %d %v %s", last, code, debug)
}
func (r *recorder) NoticeAcked() { r.note("notice acked") }
func (r *recorder) Pong()        { r.note("pong") }

// reader reads what we sent, by another implementation: framer and HPACK.
type reader struct {
	t   testing.TB
	in  bytes.Buffer
	fr  *http2.Framer
	all []string
}

func newReader(t testing.TB) *reader {
	r := &reader{t: t}
	r.fr = http2.NewFramer(io.Discard, &r.in)
	r.fr.ReadMetaHeaders = hpack.NewDecoder(defaultTable, nil)
	return r
}

// sent reads all that the connection has to send, in lines.
func (r *reader) sent(c *Conn) string {
	r.t.Helper()
	for c.Wants() {
		b := c.Append(nil, 1<<20)
		if len(b) == 0 {
			r.t.Fatal("Wants is true and Append gives nothing")
		}
		r.in.Write(b)
	}
	return r.lines()
}

func (r *reader) lines() string {
	r.t.Helper()
	if bytes.HasPrefix(r.in.Bytes(), []byte(clientOpens)) {
		r.in.Next(len(clientOpens))
	}
	var lines []string
	for r.in.Len() > 0 {
		f, err := r.fr.ReadFrame()
		if err != nil {
			r.t.Fatalf("what we sent cannot be read: %v after %q", err, lines)
		}
		lines = append(lines, describe(f))
	}
	return strings.Join(lines, "\n")
}

func describe(f http2.Frame) string {
	h := f.Header()
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return "SETTINGS ack"
		}
		line := "SETTINGS"
		f.ForeachSetting(func(s http2.Setting) error {
			line += fmt.Sprintf(" %d=%d", s.ID, s.Val)
			return nil
		})
		return line
	case *http2.MetaHeadersFrame:
		line := fmt.Sprintf("HEADERS %d", h.StreamID)
		for _, f := range f.Fields {
			line += " " + f.Name + "=" + f.Value
			if f.Sensitive {
				line += "(never)"
			}
		}
		return line + ending2(f.StreamEnded())
	case *http2.DataFrame:
		return fmt.Sprintf("DATA %d %d%s", h.StreamID, len(f.Data()), ending2(f.StreamEnded()))
	case *http2.RSTStreamFrame:
		return fmt.Sprintf("RST_STREAM %d %v", h.StreamID, ErrorCode(f.ErrCode))
	case *http2.WindowUpdateFrame:
		return fmt.Sprintf("WINDOW_UPDATE %d %d", h.StreamID, f.Increment)
	case *http2.PingFrame:
		return fmt.Sprintf("PING%s %q", map[bool]string{true: " ack"}[f.IsAck()], f.Data[:])
	case *http2.GoAwayFrame:
		return fmt.Sprintf("GOAWAY %d %v %s", f.LastStreamID, ErrorCode(f.ErrCode), f.DebugData())
	}
	return h.Type.String()
}

func field(name, value string) Field { return Field{Name: []byte(name), Value: []byte(value)} }

func fieldsOf(list ...string) (fields []Field) {
	for _, f := range list {
		at := strings.IndexByte(f[1:], '=') + 1
		fields = append(fields, field(f[:at], f[at+1:]))
	}
	return fields
}
