//go:build linux

package load

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/bench/peers/body"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// streams is one connection of H2C: what one read brings is answered by the next requests in one write, as clients
// do that have many under way.
type streams struct {
	w     *wires
	conn  net.Conn
	core  *h2.Conn
	until time.Time
	began time.Time
	open  int
	err   error
}

// call is one request of it.
type call struct {
	id    body.ID
	since time.Time
	at    int
	ok    bool
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
	path := strconv.AppendInt([]byte("/app/"), int64(s.w.Size), 10)
	path = append(append(path, '/'), id[:]...)
	fields := append(head2, h2.Field{Name: []byte(":path"), Value: path})
	for _, f := range [...][2]string{{"user-agent", "sluice-bench/1"}, {"accept", "*/*"}, {"accept-encoding", "gzip"}, {"cookie", "session=0123456789abcdef0123456789abcdef"}, {"x-api-key", s.w.Key}} {
		if f[1] != "" {
			fields = append(fields, h2.Field{Name: []byte(f[0]), Value: []byte(f[1])})
		}
	}
	st, err := s.core.Open(fields, true)
	if err != nil {
		s.err = err
		return
	}
	st.Owner = &call{id: id, since: time.Now()}
	s.open++
}

var head2 = []h2.Field{{Name: []byte(":method"), Value: []byte("GET")}, {Name: []byte(":scheme"), Value: []byte("http")}, {Name: []byte(":authority"), Value: []byte("bench.example.com")}}

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
	if c.at+len(b) > s.w.Size || !body.Equal(s.w.pattern, b, c.at, &c.id) {
		s.w.mismatch()
		s.err = fmt.Errorf("request %s: a wrong byte", c.id[:])
		return
	}
	c.at += len(b)
	s.core.Consumed(st, len(b))
}

// Done implements h2.Events.
func (s *streams) Done(st *h2.Stream) {
	c := st.Owner.(*call)
	s.open--
	if !c.ok || c.at != s.w.Size {
		s.err = fmt.Errorf("request %s: 200 is %v, %d bytes", c.id[:], c.ok, c.at)
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
func (s *streams) Interim(*h2.Stream, []h2.Field)  {}
func (s *streams) TooLarge(*h2.Stream)             {}
func (s *streams) Trailers(*h2.Stream, []h2.Field) {}
func (s *streams) Room(*h2.Stream)                 {}
func (s *streams) Refused(uint32, h2.Reason)       {}
func (s *streams) Settings()                       {}
func (s *streams) NoticeAcked()                    {}
func (s *streams) Pong()                           {}
