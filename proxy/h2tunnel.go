package proxy

import (
	"bytes"
	"slices"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/tunnel"
	"github.com/sluiceproxy/sluice/proxy/websocket"
)

// WebSockets of clients that speak HTTP/2 (RFC 8441). CONNECT with :protocol websocket is walked as the GET with Upgrade that an
// HTTP/1.1 client would send: the same route, authenticators and policy, the same limits and the same record. From the 200
// on its stream is an end of a tunnel, and stays one of the exchanges of its connection: that has the handle, and
// is left when the tunnel is over.

// errProtocol refuses what RFC 8441 allows and nothing here speaks.
var errProtocol = &h1.Error{Status: 501, Reason: "connect", Detail: "CONNECT is offered for :protocol websocket only"}

// protocolWebSocket is the value of Upgrade and :protocol.
var protocolWebSocket = []byte("websocket")

// extended reports whether the client asks by a CONNECT of RFC 8441: nothing else on HTTP/2 asks for an upgrade.
func (x *exchange) extended() bool { return x.upgrade && x.version == http2 }

// appendHandshake writes what an HTTP/1.1 request for a WebSocket needs and that of HTTP/2 has not (RFC 8441 section 5).
func (x *exchange) appendHandshake(dst []byte) []byte {
	if _, n := x.l.req.Field("sec-websocket-version"); n == 0 {
		dst = append(dst, "Sec-WebSocket-Version: "+websocket.Version+"\r\n"...)
	}
	var random [16]byte
	_, _ = x.l.rnd.Read(random[:]) // it never fails
	dst = append(dst, "Sec-WebSocket-Key: "...)
	dst = websocket.AppendKey(dst, random)
	return append(dst, "\r\n"...)
}

// sentKey is the Sec-WebSocket-Key of the head that was sent; nil: it has none, or more than one. Valid until the next call.
func (x *exchange) sentKey() []byte {
	r := &x.l.sent
	if _, err := r.Parse(x.head, ownLimits); err != nil {
		return nil
	}
	key, n := r.Field("sec-websocket-key")
	if n != 1 || !websocket.ValidKey(key) {
		return nil
	}
	return key
}

// proven reports whether a 101 answers the key that we made: whoever sends it knows what it switches to.
func (x *exchange) proven(r *h1.Response) bool {
	accept, n := r.Field("sec-websocket-accept")
	return n == 1 && isWebSocket(r.Upgrade) && bytes.Equal(accept, websocket.AppendAccept(nil, x.sentKey()))
}

// ofHTTP1 reports whether a field of the answer to a handshake has no meaning beyond HTTP/1.1, or beyond its own connection.
func ofHTTP1(f h1.Field) bool {
	return f.ID == h1.ContentLength || bytes.EqualFold(f.Name, []byte("sec-websocket-accept"))
}

// upgraded implements requester: the client of a CONNECT gets its 200.
func (st *h2Stream) upgraded(r *h1.Response, rest []byte) {
	x, c, l := st.x, st.c, st.c.l
	r.Status, x.status = 200, 200
	r.Fields = slices.DeleteFunc(r.Fields, ofHTTP1)
	st.head(r, false, false)
	early, late := st.in, bytes.Clone(rest)
	st.in = nil
	x.endAccount()
	if l.cfg.Faults.DropEarly {
		late = nil
	}
	p := x.startTunnel(r.Upgrade, early, late)
	l.putBuffer(early)
	if st.tunnel == nil { // a panic has ended it
		return
	}
	st.tunnel.consumed(len(early))
	if st.inEnd {
		p.ends[tunnel.Downstream].eof()
	}
	if c.leaving { // it was said to the connection already
		p.ends[tunnel.Downstream].evict(drain.CauseFarewell)
	}
}

// become implements requester.
func (st *h2Stream) become(e *tunnelEnd) {
	c := st.c
	for t := range st.due {
		st.arm(engine.Timer(t), 0)
	}
	st.tunnel = &tunnelStream{end: e, on: c, core: c.core, s: st.s, st: st}
	e.wire = st.tunnel
	e.p.within = c
	c.tunnels = append(c.tunnels, e.p)
	c.handle.Tunnels(len(c.tunnels))
	c.dirty()
}

// tunnelOver: both ends of a tunnel of this connection are gone.
func (c *h2Conn) tunnelOver(p *tunnelPair, o drain.Outcome) {
	c.tunnels = slices.DeleteFunc(c.tunnels, func(q *tunnelPair) bool { return q == p })
	if o == drain.Cut {
		c.decided, c.outcome = true, drain.Cut
	}
	c.handle.Tunnels(len(c.tunnels))
	if !c.gone {
		c.dirty()
	} else if len(c.tunnels) == 0 {
		delete(c.l.headless, c.id)
		c.settleAccount(c.how, c.hurried)
	}
}

// outlived: the connection is gone, and what its tunnels have for their upstreams is still on its way. The tracker knows
// them by this connection, whose handle stays.
func (c *h2Conn) outlived(end engine.End) {
	c.gone, c.how = true, end
	c.l.behead(c.id, c.evictTunnels)
}

// evictTunnels asks what lives of the tunnels to go.
func (c *h2Conn) evictTunnels(cause drain.Cause) {
	if c.gone && cause.Cuts() { // nobody else names them
		c.handle.Owes(c.owes())
	}
	for _, p := range c.tunnels {
		end := p.ends[tunnel.Upstream]
		c.l.walkEnd(end, func() { end.evict(cause) })
	}
}
