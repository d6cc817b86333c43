package proxy

import (
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// responder is the side of an exchange that is asked: an upstream HTTP/1.1 connection, for this
// exchange alone, or one stream of an upstream HTTP/2 connection. It calls the exchange with what comes back.
type responder interface {
	endpoint() *upstream.Endpoint
	// connecting: its connection is still being made.
	connecting() bool
	// takesBody: the head is on its way, and a piece of the body may follow.
	takesBody() bool
	// sendBody sends a piece of the request body, and endBody what ends it.
	sendBody(data []byte)
	endBody(trailers []h1.Field)
	// queued is how much of the request waits to be sent, and full whether its source should wait.
	queued() int
	full() bool
	// watchStall makes sure that an upstream which takes nothing is noticed.
	watchStall()
	// goOn takes up a response that was held back, because the client has room again.
	goOn()
	// fault counts against the endpoint.
	fault()
	// abandon gives up the exchange on this side: nothing more comes, and a request that was cut short does
	// not look whole.
	abandon()
	// carries reports whether x is still the exchange that it answers.
	carries(x *exchange) bool
	// become makes the connection, or the stream, the upstream's end of a tunnel. The exchange is detached.
	become(e *tunnelEnd)
	// wreck is abandon after a panic, without trusting the state.
	wreck()
}

func (u *upConn) endpoint() *upstream.Endpoint { return u.ep }
func (u *upConn) connecting() bool             { return u.state == upConnecting }
func (u *upConn) takesBody() bool              { return u.state == upBusy }
func (u *upConn) queued() int                  { return u.l.sh.Queued(u.id) }
func (u *upConn) goOn()                        { u.resume(pausePressure) }
func (u *upConn) carries(x *exchange) bool     { return u.x == x }

func (u *upConn) become(e *tunnelEnd) {
	u.detach()
	u.state = upEnded // this object is nobody's role any more
	e.p.slot = u.slot
	e.takeConn(u.id, u.paused != 0)
}

func (u *upConn) sendBody(data []byte) {
	switch {
	case !u.x.chunked:
		u.send(data)
	case len(data) > 0:
		u.l.out = h1.AppendChunk(u.l.out[:0], data)
		u.send(u.l.out)
	}
}

func (u *upConn) endBody(trailers []h1.Field) {
	if u.x.chunked {
		u.l.out = h1.AppendLastChunk(u.l.out[:0], u.l.cleanTrailers(trailers))
		u.send(u.l.out)
	}
}
