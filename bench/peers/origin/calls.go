//go:build linux

package origin

import (
	"time"

	"github.com/sluiceproxy/sluice/proxy/h2"
)

// calls is the core of a connection of kind grpc: HTTP/2 by prior knowledge, on which every request is a unary call that
// is answered with its own message. The client compares it.
type calls struct {
	core  *h2.Conn
	began time.Time
	out   []byte
}

var (
	callHead     = []h2.Field{{Name: []byte(":status"), Value: []byte("200")}, {Name: []byte("content-type"), Value: []byte("application/grpc")}}
	callTrailers = []h2.Field{{Name: []byte("grpc-status"), Value: []byte("0")}}
)

// newCalls trusts its callers to be the harness: no budget ends it.
func (s *server) newCalls() *calls {
	c := &calls{began: time.Now()}
	off := h2.Budget{Burst: -1}
	c.core = h2.New(h2.Config{Pool: &s.pool, MaxStreams: 1024, Floods: h2.Floods{Control: off, Resets: off, Dribble: off}}, c)
	return c
}

// frames takes what came in and sends what that gave rise to, in one write; false: close.
func (s *server) frames(c *conn, b []byte) bool {
	k := c.calls
	if err := k.core.Receive(b, time.Since(k.began)); err != nil {
		return false
	}
	for k.out = k.out[:0]; k.core.Wants(); {
		k.out = k.core.Append(k.out, 64<<10)
	}
	if len(k.out) == 0 {
		return true
	}
	if len(c.out) > 0 { // the kernel has not taken what went before
		c.out = append(c.out, k.out...)
		return true
	}
	return s.send(c, k.out, nil)
}

// Head implements h2.Events.
func (k *calls) Head(s *h2.Stream, _ []h2.Field, end bool) {
	s.Head(callHead, false)
	if end {
		s.Trailers(callTrailers)
	}
}

// Data implements h2.Events.
func (k *calls) Data(s *h2.Stream, b []byte, end bool) {
	k.core.Consumed(s, len(b))
	s.Write(b, false)
	if end {
		s.Trailers(callTrailers)
	}
}

// Trailers implements h2.Events.
func (k *calls) Trailers(s *h2.Stream, _ []h2.Field) { s.Trailers(callTrailers) }

// What a server that answers everything has no use for.
func (k *calls) Interim(*h2.Stream, []h2.Field)      {}
func (k *calls) TooLarge(s *h2.Stream)               { s.Reset(h2.InternalError) }
func (k *calls) Reset(*h2.Stream, h2.Cause)          {}
func (k *calls) Done(*h2.Stream)                     {}
func (k *calls) Room(*h2.Stream)                     {}
func (k *calls) Refused(uint32, h2.Reason)           {}
func (k *calls) Settings()                           {}
func (k *calls) GoAway(uint32, h2.ErrorCode, []byte) {}
func (k *calls) NoticeAcked()                        {}
func (k *calls) Pong()                               {}
