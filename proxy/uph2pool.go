package proxy

import (
	"cmp"
	"slices"

	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// Who gets a stream of which upstream HTTP/2 connection.

// maxJoin bounds the exchanges that wait for one connection; with more another one is made.
const maxJoin = 100

// originFor is a connection to ep that takes one more exchange, or nil. fresh: one that is still being made.
func (l *loop) originFor(ep *upstream.Endpoint, fresh bool) *upH2 {
	for _, u := range l.origins[ep] {
		if u.room() && (!fresh || u.state == upConnecting) {
			return u
		}
	}
	return nil
}

// room reports whether one more exchange fits.
func (u *upH2) room() bool {
	switch u.state {
	case upConnecting:
		return len(u.waiting) < maxJoin
	case upPooled:
		return !u.suspect && !u.stale() && !u.core.PeerLeft() && u.core.Room() > len(u.waiting)
	case upBusy, upEnded:
	}
	return false
}

// connectH2 gives the exchange a stream to ep. fresh: on a new connection, since those that are there may be stale.
func (x *exchange) connectH2(ep *upstream.Endpoint, fresh bool) {
	l := x.l
	u := l.originFor(ep, fresh)
	if u == nil {
		if !x.mayDial() {
			x.noRoom()
			return
		}
		u = l.dialH2(ep)
	}
	u.join(x)
}

// dialH2 begins a connection.
func (l *loop) dialH2(ep *upstream.Endpoint) *upH2 {
	l.upstreamBegins()
	u := &upH2{half: half{l: l, id: l.sh.Dial(ep.Addr, ep.Cluster().Config().ConnectTimeout)}, ep: ep, tls: upTLS{began: l.now()}}
	l.setRole(u.id, u)
	if l.origins == nil {
		l.origins = map[*upstream.Endpoint][]*upH2{}
	}
	l.origins[ep] = append(l.origins[ep], u)
	return u
}

// leavePool makes sure that nobody joins any more.
func (u *upH2) leavePool() {
	list := u.l.origins[u.ep]
	for i := range list {
		if list[i] == u {
			list[i] = list[len(list)-1]
			list[len(list)-1] = nil
			u.l.origins[u.ep] = list[:len(list)-1]
			break
		}
	}
	if len(u.l.origins[u.ep]) == 0 {
		delete(u.l.origins, u.ep)
	}
}

// eachWaiting lets go of those who wait for the connection, and takes the walk of each on. One may end another.
func (u *upH2) eachWaiting(f func(x *exchange)) {
	w := u.waiting
	u.waiting = nil
	for _, st := range w {
		if x := st.x; x != nil {
			st.detach()
			u.l.walkOn(x, func() { f(x) })
		}
	}
}

// takes reports whether a stream can be opened for x now. Before the peer has said how many it takes, it may refuse what comes, or end
// the connection at once. So who was refused already waits for that word, which has to come by helloDue; and so does who could not be sent
// again, because a body leaves with it, and who wants an upgrade, which the peer has to offer.
func (u *upH2) takes(x *exchange) bool {
	return u.state == upPooled && u.core.Room() > 0 && (u.core.Ready() || x.tries == 0 && x.reqDone && !x.upgrade)
}

// serveWaiting opens streams for those who wait, as far as there is room. Nobody waits for more: nobody knows when it comes.
func (u *upH2) serveWaiting() {
	for len(u.waiting) > 0 && u.takes(u.waiting[0].x) {
		st := u.waiting[0]
		u.waiting = u.waiting[1:]
		x := st.x
		u.l.walkOn(x, func() { st.open() })
	}
	switch {
	case len(u.waiting) == 0 || u.state != upPooled || !u.core.Ready():
	case u.core.Streams() > 0: // so each connection serves some of them
		u.eachWaiting(func(x *exchange) { x.connect(nil) })
	default:
		u.eachWaiting(func(x *exchange) { x.joinAnother(u.ep) })
	}
}

// joinAnother looks for another connection after one to ep came to nothing, and not for ever.
func (x *exchange) joinAnother(ep *upstream.Endpoint) {
	if x.dials++; x.dials < maxTries {
		x.connect(ep)
		return
	}
	x.connectFailed(ep)
}

// closeIdleOrigins closes connections on which nothing runs, at most so many, those first that have waited longest, and returns how many. It looks at
// nothing but these connections: a loop that is at its limit asks with each request.
func (l *loop) closeIdleOrigins(which func(*upH2) bool, most int) int {
	var idle []*upH2
	for _, list := range l.origins {
		for _, u := range list {
			if u.idle() && which(u) {
				idle = append(idle, u)
			}
		}
	}
	slices.SortFunc(idle, func(a, b *upH2) int { return cmp.Or(a.idleDue.Compare(b.idleDue), cmp.Compare(a.id, b.id)) })
	idle = idle[:min(most, len(idle))]
	for _, u := range idle {
		u.close()
	}
	return len(idle)
}
