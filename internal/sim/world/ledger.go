package world

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
)

// request is a line of the ledger: what a client sent and what became of it.
type request struct {
	num        int
	method     string
	path       string // "pub", "key", "no" or "flip"
	key        string
	bodyLen    int
	respLen    int // what a sound upstream answers with
	sentAt     time.Time
	answered   bool // a complete response came
	answeredAt time.Time
	status     int
	excused    bool       // no complete response is owed: the client broke off, or was told to go elsewhere
	goodbye    bool       // its response has to tell the client to leave
	struck     bool       // an authenticator panicked over it
	executed   int        // how often an upstream took it whole
	carriers   []*carrier // upstream connections that the proxy wrote it to
	sound      *carrier   // the one on which the upstream answered it in full; nil: none did
	flawed     bool       // an upstream answered with a fault, or never
	endless    bool       // the answer has no length: it is an open stream
	upgrade
	earlyAt time.Time // when an upstream answered before it had read the request; zero: it read first
}

// carrier is a connection of the proxy to an upstream, as the omniscient see it: the
// network is tapped where the proxy writes.
type carrier struct {
	sock   *sim.Sock // the proxy's end
	conn   *upConn   // the upstream's end; nil until it was accepted
	broke  bool      // the upstream ended it when the proxy could still use it
	head   []byte    // the first bytes, until it is known what it carries
	tap    *h2Tap    // it is one stream of this connection; nil: it is a connection
	tunnel bool
	echoed int  // bytes that the upstream sent through the tunnel
	bye    bool // the upstream ended its half of the tunnel, which is no fault
}

// broken reports whether the upstream ended the connection, or its listener did so
// before it was accepted.
func (c *carrier) broken() bool {
	far := c.sock.Peer()
	if t := c.tap; t != nil {
		return c.broke || t.conn == nil && (t.dead || far != nil && !far.Alive())
	}
	return c.broke || c.conn == nil && far != nil && !far.Alive()
}

// tap sees every byte that the proxy writes to an upstream, and notes who is on which
// connection. A head is written in one piece.
func (w *world) tap(s *sim.Sock, b []byte) {
	if s.To != upAddrs[0] && s.To != upAddrs[1] {
		w.tapNotice(s, b)
		return
	}
	if bytes.HasPrefix(b, []byte("GET "+probePath)) {
		return // a health check
	}
	if w.h2Taps[s] != nil || isH2(b) {
		w.tapH2(s, b)
		return
	}
	c := w.carriers[s]
	if c == nil {
		c = &carrier{sock: s}
		w.carriers[s] = c
		c.tunnel = b[0] == tunnelMark
	}
	switch {
	case c.tunnel:
		if len(c.head) < tunnelHead {
			c.head = append(c.head, b[:min(len(b), tunnelHead-len(c.head))]...)
		}
		if n, ok := numberAfter(c.head, tunnelMark); ok && len(c.head) == tunnelHead {
			w.tunnels[n].carrier = c
		}
	case b[0] == 'G' || b[0] == 'H' || b[0] == 'P':
		w.carries(c, b)
	}
}

// carries notes that a request head goes out on c: is the endpoint in the policy?
func (w *world) carries(c *carrier, head []byte) {
	path := head[:min(len(head), 40)]
	for i, ch := range path {
		if ch == '?' {
			path = path[:i]
			break
		}
	}
	n, ok := numberAfter(path, '/')
	if !ok || n >= len(w.requests) {
		w.violate("the proxy sent %q to an upstream", head[:min(len(head), 60)])
		return
	}
	r := w.requests[n]
	r.carriers = append(r.carriers, c)
	if c.sock.To == upAddrs[1] && !w.inForce(r.sentAt, odd) {
		w.violate("r%d went to an endpoint that had left the policy", n)
	}
}

// upstreamsFault reports whether an upstream, and nobody else, kept r from its response.
func (r *request) upstreamsFault() bool {
	if r.flawed {
		return true
	}
	for _, c := range r.carriers {
		// Behind a 101 the connection goes on being needed: whoever breaks it may destroy
		// the 101 on its way.
		if (c != r.sound || r.switches) && c.broken() {
			return true
		}
	}
	return false
}

// unreachable reports whether a dial on behalf of something that began at since may
// have found no upstream: one that was the only one in force was down.
func (w *world) unreachable(since time.Time) bool {
	for i, u := range w.ups {
		alone := i == 0 && w.inForce(since, even)
		if alone && u.wasDown(since) {
			return true
		}
	}
	return false
}

// claim is something that was cut at the deadline, seen by a client: the receipt has
// to name its connection.
type claim struct {
	peer    netip.AddrPort
	what    string
	request bool // sent in full: an exchange was interrupted
	shared  bool // one of several exchanges of its connection, each of which counts
}

// cutNow reports whether the drain may cut at this moment.
func (w *world) cutNow() bool {
	return !w.cancelled.IsZero() || !w.deadline.IsZero() && !w.net.Now().Before(w.deadline.Add(-drain.DefaultSettle))
}

// crossed reports whether what a client sent last was on its way when its connection was cut, or
// when the process was gone: it may read of that late.
func (w *world) crossed(wroteAt time.Time) bool {
	cut := w.net.Now()
	if !w.exited.IsZero() {
		cut = w.exited
	}
	return wroteAt.Add(4 * w.net.MaxDelay).After(cut)
}

// linger is how long the proxy reads on for a client that it sent away.
const linger = time.Second

// party is what of a client decides whether a loss may be excused.
type party struct {
	addr      netip.AddrPort
	wroteAt   time.Time // a request, or a piece of one
	readsAt   time.Time // again, after it read late
	writing   bool      // the rest of a request is still to be sent
	pastClass bool      // see client.pastClass
	shared    bool      // requests share its connection, and each of them counts
}

func (c *client) party() party {
	return party{c.sock.Addr, c.wroteAt, c.readsAt, c.writing, c.pastClass(), false}
}

// claims is the claim for r. What an upstream, or the proxy itself, has answered may be whole for the proxy, and wait with the kernel.
func (c *party) claims(r *request) claim {
	return claim{c.addr, requestName(r), !c.writing, c.shared && r.sound == nil && len(r.carriers) > 0}
}

// lost: a request was sent and no complete response came.
func (w *world) lost(c party, r *request, how string) {
	late := c.wroteAt.Add(4 * w.net.MaxDelay).After(w.net.Now())
	switch {
	case r.excused || r.upstreamsFault() || w.struck[c.addr] || w.ends(r):
	case w.wasEvicted(c.addr):
		if at := w.steered.evicted[c.addr]; c.wroteAt.Add(4 * w.net.MaxDelay).Before(at) {
			w.claimEvicted(c.claims(r))
		} // otherwise its last byte crossed with that
	case c.pastClass && late: // as below
	case c.pastClass:
		w.claims = append(w.claims, c.claims(r))
	case w.mayGiveUp(c.addr) && late: // as below
	case w.mayGiveUp(c.addr):
		w.claims = append(w.claims, c.claims(r))
	case !r.earlyAt.IsZero() && c.wroteAt.After(r.earlyAt.Add(linger)):
		// It went on sending for longer than a close waits, and was reset.
	case w.cutNow() && w.admittedAt.IsZero(): // never admitted: it holds nothing that a receipt could name
	case w.cutNow() && w.crossed(c.wroteAt):
		// Its last byte crossed with the cut: no proxy could know of it.
	case w.cutNow():
		w.claims = append(w.claims, c.claims(r))
	default:
		w.violate("lost: %s %s/r%d (%s, executed %d times)", r.method, r.path, r.num, how, r.executed)
	}
}
