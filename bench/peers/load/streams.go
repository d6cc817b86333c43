//go:build linux

package load

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/bench/peers/body"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// streams is one connection of H2C or GRPC: what one read brings is answered by the next requests in one write, as clients
// do that have many under way.
type streams struct {
	w     *wires
	conn  net.Conn
	core  *h2.Conn
	until time.Time
	began time.Time
	open  int
	err   error

	common  []h2.Field // of all requests
	message []byte     // scratch
}

// call is one request of it.
type call struct {
	id    body.ID
	since time.Time
	at    int
	ok    bool // the status of HTTP is
	done  bool // GRPC: that of the call is
}

const prefixLen = 5

// prefix is what a message of n bytes begins with in gRPC.
func prefix(n int) [prefixLen]byte {
	return [prefixLen]byte{0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// run keeps Streams requests under way until the time is up, and waits for the last answer.
func (s *streams) run() error {
	buf := make([]byte, 64<<10)
	for range Streams {
		s.next()
	}
	for s.err == nil {
		if s.core.Wants() {
			if _, err := s.conn.Write(s.core.Append(buf[:0], len(buf)/2)); err != nil {
				return err
			}
			continue
		}
		if s.open == 0 {
			return s.err
		}
		if err := s.conn.SetReadDeadline(s.until.Add(patience)); err != nil {
			return err
		}
		n, err := s.conn.Read(buf)
		if err != nil {
			return err
		}
		if err := s.core.Receive(buf[:n], time.Since(s.began)); err != nil {
			return err
		}
	}
	return s.err
}

func (s *streams) next() {
	id := body.NewID(s.w.nextID.Add(1))
	grpc := s.w.Wire == GRPC
	fields := append([]h2.Field(nil), s.fields()...)
	if !grpc {
		path := strconv.AppendInt([]byte("/app/"), int64(s.w.Size), 10)
		fields = append(fields[:3:3], append([]h2.Field{{Name: []byte(":path"), Value: append(append(path, '/'), id[:]...)}}, fields[3:]...)...)
	}
	st, err := s.core.Open(fields, !grpc)
	if err != nil {
		s.err = err
		return
	}
	st.Owner = &call{id: id, since: time.Now()}
	s.open++
	if grpc {
		head := prefix(s.w.Size)
		s.message = append(append(append(s.message[:0], head[:]...), id[:]...), s.w.pattern[body.IDLen:s.w.Size]...)
		st.Write(s.message, true)
	}
}

// fields are those of every request, but for the path of one that is no call.
func (s *streams) fields() []h2.Field {
	if s.common != nil {
		return s.common
	}
	all := [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "bench.example.com"}, {"user-agent", "sluice-bench/1"}, {"accept", "*/*"},
		{"accept-encoding", "gzip"}, {"cookie", "session=0123456789abcdef0123456789abcdef"}, {"x-api-key", s.w.Key}}
	if s.w.Wire == GRPC {
		all = [][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "bench.example.com"}, {":path", "/app/call"}, {"user-agent", "grpc-bench/1"},
			{"content-type", "application/grpc"}, {"te", "trailers"}, {"x-api-key", s.w.Key}}
	}
	for _, f := range all {
		if f[1] != "" {
			s.common = append(s.common, h2.Field{Name: []byte(f[0]), Value: []byte(f[1])})
		}
	}
	return s.common
}

// Head implements h2.Events.
func (s *streams) Head(st *h2.Stream, fields []h2.Field, _ bool) {
	for _, f := range fields {
		if string(f.Name) == ":status" {
			st.Owner.(*call).ok = string(f.Value) == "200"
		}
	}
}

// Data implements h2.Events.
func (s *streams) Data(st *h2.Stream, b []byte, _ bool) {
	c := st.Owner.(*call)
	s.core.Consumed(st, len(b))
	if !s.right(c, b) {
		s.w.mismatch()
		s.err = fmt.Errorf("request %s: a wrong byte", c.id[:])
		return
	}
	c.at += len(b)
}

// right compares a piece of a response, which GRPC begins with a prefix.
func (s *streams) right(c *call, b []byte) bool {
	at := c.at
	if s.w.Wire == GRPC {
		head := prefix(s.w.Size)
		if at < len(head) {
			n := min(len(b), len(head)-at)
			if !bytes.Equal(b[:n], head[at:at+n]) {
				return false
			}
			b, at = b[n:], at+n
		}
		at -= len(head)
	}
	return at+len(b) <= s.w.Size && body.Equal(s.w.pattern, b, at, &c.id)
}

// Trailers implements h2.Events.
func (s *streams) Trailers(st *h2.Stream, fields []h2.Field) {
	for _, f := range fields {
		if string(f.Name) == "grpc-status" {
			st.Owner.(*call).done = string(f.Value) == "0"
		}
	}
}

// Done implements h2.Events.
func (s *streams) Done(st *h2.Stream) {
	c := st.Owner.(*call)
	s.open--
	want := s.w.Size
	if s.w.Wire == GRPC {
		want += prefixLen
	}
	if !c.ok || c.at != want || c.done != (s.w.Wire == GRPC) {
		s.err = fmt.Errorf("request %s: 200 is %v, grpc-status 0 is %v, %d bytes", c.id[:], c.ok, c.done, c.at)
		return
	}
	s.w.finished(c.since, c.at)
	if time.Now().Before(s.until) {
		s.next()
	}
}

// Reset implements h2.Events.
func (s *streams) Reset(_ *h2.Stream, why h2.Cause) {
	s.open--
	s.err = fmt.Errorf("a stream was reset: %v", why.Code)
}

// GoAway implements h2.Events.
func (s *streams) GoAway(uint32, h2.ErrorCode, []byte) { s.err = fmt.Errorf("the proxy says goodbye") }

// What this client has no use for.
func (s *streams) Interim(*h2.Stream, []h2.Field) {}
func (s *streams) TooLarge(*h2.Stream)            {}
func (s *streams) Room(*h2.Stream)                {}
func (s *streams) Refused(uint32, h2.Reason)      {}
func (s *streams) Settings()                      {}
func (s *streams) NoticeAcked()                   {}
func (s *streams) Pong()                          {}
