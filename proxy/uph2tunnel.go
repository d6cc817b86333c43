package proxy

import (
	"slices"

	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/h2"
	"github.com/sluiceproxy/sluice/proxy/websocket"
)

// WebSockets towards upstreams that speak HTTP/2 (RFC 8441). What a client asks for by Upgrade, or by a CONNECT of its own, is
// sent as CONNECT with :protocol websocket, if the upstream has announced that it takes that.

// asksWebSocket reports whether a head of ours is the handshake of a WebSocket. Any other Upgrade is not passed on.
func asksWebSocket(r *h1.Request) bool {
	return isWebSocket(r.Upgrade) && string(r.Method) == "GET" && r.Body == h1.BodyNone
}

// mayConnect reports whether the request can be sent as the CONNECT that it is to be; otherwise it was answered.
func (st *upStream) mayConnect(r *h1.Request) bool {
	x := st.x
	key, n := r.Field("sec-websocket-key")
	switch {
	case n != 1 || !websocket.ValidKey(key): // the upstream would not see it
		st.refuse(response{status: 400, reason: "websocket_key", text: "the handshake of a WebSocket needs one Sec-WebSocket-Key of 16 bytes in base64"})
	case !st.u.core.PeerExtendedConnect():
		st.refuse(response{status: 501, reason: "websocket_unsupported",
			text: "the upstream of this route takes no WebSocket over HTTP/2 (SETTINGS_ENABLE_CONNECT_PROTOCOL, RFC 8441)"})
	default:
		st.connect = true
	}
	return x == st.x
}

// refuse answers a request that was not sent.
func (st *upStream) refuse(r response) {
	x := st.x
	st.detach()
	st.u.dirty()
	x.replyLate(r)
}

// answeredConnect takes the answer to a CONNECT: true if it is yes, and the stream has become an end of a tunnel, or may not. After a no nothing
// follows our head.
func (st *upStream) answeredConnect(r *h1.Response, end bool) bool {
	s, x := st.s, st.x
	if r.Status >= 300 {
		s.Write(nil, true)
		return false
	}
	if x.barredTunnel() {
		return true
	}
	st.answered = true
	st.u.ep.Answered(st.u.l.now())
	r.Fields = slices.DeleteFunc(r.Fields, ofHTTP1)
	if !x.extended() {
		r.Fields = append(r.Fields, h1.Field{Name: nameAccept, Value: websocket.AppendAccept(nil, x.sentKey())})
	}
	r.Status, r.Reason, r.Upgrade = 101, nil, protocolWebSocket
	x.status, x.headSent = r.Status, true
	x.guardCookies(r)
	x.c.upgraded(r, nil)
	if t, ok := s.Owner.(*tunnelStream); ok && end {
		t.end.eof()
	}
	return true
}

var nameAccept = []byte("Sec-WebSocket-Accept")

// become implements responder.
func (st *upStream) become(e *tunnelEnd) {
	u, s := st.u, st.s
	st.s = nil
	st.detach()
	t := &tunnelStream{end: e, on: u, core: u.core, s: s}
	s.Owner, e.wire = t, t
	u.dirty()
}

// tunnelOf is the end of a tunnel that a stream is; nil: it is none.
func tunnelOf(s *h2.Stream) *tunnelStream {
	t, _ := s.Owner.(*tunnelStream)
	return t
}
