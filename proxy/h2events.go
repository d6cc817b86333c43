package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// What the core of HTTP/2 tells a downstream connection: h2Conn as h2.Events.

// Head begins an exchange.
func (c *h2Conn) Head(s *h2.Stream, fields []h2.Field, end bool) {
	defer c.eventOver()
	st := c.begin(s)
	x := st.x
	if err := c.l.compose(fields, end); err != nil {
		st.malformed(err)
		return
	}
	st.inEnd = end
	if st.grpc = isGRPC(&c.l.req) && c.l.req.Upgrade == nil; st.grpc {
		st.startDeadline()
	}
	x.begin()
}

// eventOver is deferred by events that walk: a panic ends the stream there, because within the core it would lose
// what has been read behind it.
func (c *h2Conn) eventOver() {
	v := recover()
	if v != nil {
		c.l.containOne(c.id, c, v)
	}
	c.current = nil
}

// begin makes a stream and starts the account of its exchange.
func (c *h2Conn) begin(s *h2.Stream) *h2Stream {
	st := c.l.newStream()
	st.c, st.s = c, s
	s.Owner = st
	c.current = st
	c.seq++
	c.served++
	st.x = c.l.newExchange()
	st.x.version = http2
	c.begins()
	st.x.start(&c.downstream, st, c.seq)
	c.mayRetire()
	return st
}

// TooLarge answers a head above the limits.
func (c *h2Conn) TooLarge(s *h2.Stream) {
	defer c.eventOver()
	st := c.begin(s)
	c.l.req = h1.Request{Fields: c.l.req.Fields[:0]}
	if s.ToHEAD() {
		c.l.req.Method = valueHEAD
	}
	st.malformed(&h1.Error{Status: 431, Reason: "head_too_large", Detail: "the header list is too large"})
}

// Data is a piece of a request body.
func (c *h2Conn) Data(s *h2.Stream, b []byte, end bool) {
	st, ok := s.Owner.(*h2Stream)
	if !ok {
		c.core.Consumed(s, len(b))
		return
	}
	defer c.eventOver()
	c.current = st
	st.body(b, end)
}

// Trailers end a request body.
func (c *h2Conn) Trailers(s *h2.Stream, fields []h2.Field) {
	st, ok := s.Owner.(*h2Stream)
	if !ok {
		return
	}
	defer c.eventOver()
	c.current = st
	st.trailers = ownFields(st.trailers[:0], fields)
	st.body(nil, true)
}

// Reset ends a stream whose client does not want it any more, or broke it.
func (c *h2Conn) Reset(s *h2.Stream, why h2.Cause) {
	if why.Local {
		c.l.stats.h2Refused.count(why.Reason)
	}
	defer c.eventOver()
	if st, ok := s.Owner.(*h2Stream); ok {
		st.gone()
	}
}

// Done ends a stream whose messages are whole.
func (c *h2Conn) Done(s *h2.Stream) {
	if st, ok := s.Owner.(*h2Stream); ok {
		if st.tunnel != nil {
			st.tunnel.part(nil)
		}
		st.gone()
	}
}

// Room lets the upstream of a stream go on.
func (c *h2Conn) Room(s *h2.Stream) {
	st, ok := s.Owner.(*h2Stream)
	switch {
	case !ok:
	case st.tunnel != nil:
		defer c.eventOver()
		c.current = st
		st.tunnel.room()
	case st.x.up != nil:
		st.x.up.goOn()
	}
}

// Refused counts a stream that was never shown.
func (c *h2Conn) Refused(_ uint32, why h2.Reason) { c.l.stats.h2Refused.count(why) }

// Settings is the client's first frame, or a change of it.
func (c *h2Conn) Settings() { c.helloDue = time.Time{} }

// Interim, GoAway and Pong say nothing that a server has to act upon: the client that says goodbye
// closes when it has its answers.
func (c *h2Conn) Interim(*h2.Stream, []h2.Field)      {}
func (c *h2Conn) GoAway(uint32, h2.ErrorCode, []byte) {}
func (c *h2Conn) Pong()                               {}
