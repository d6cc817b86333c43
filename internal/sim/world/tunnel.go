package world

import (
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
)

// tunnelClient sends through a raw TCP listener, or after a 101, wants everything back,
// and says goodbye by half-close.
type tunnelClient struct {
	w       *world
	name    string
	num     int
	path    string // of the upgrade; "": of the listener
	sock    *sim.Sock
	owed    []byte // everything that has to come back
	match   matcher
	left    int // messages
	most    int // bytes of a message
	fin     bool
	ended   string // how; "": not yet
	dialed  time.Time
	open    time.Time // the 101 came
	carrier *carrier  // the connection to the upstream, once its first bytes were seen
}

// A tunnel begins with its mark and its number, so that both ends know whose it is.
const (
	tunnelMark = '>'
	tunnelHead = 6
)

func newTunnelClient(w *world) {
	if w.quiet {
		return
	}
	t := &tunnelClient{w: w, name: fmt.Sprintf("tunnel %d", len(w.tunnels)), num: len(w.tunnels), left: 1 + w.net.Rand.IntN(12), most: 3000, dialed: w.net.Now()}
	if w.net.Chance(0.12) {
		w.net.Count["endless tunnel"]++
		t.left, t.most = 1<<30, 300
	}
	w.tunnels = append(w.tunnels, t)
	t.sock = w.net.Dial(tcpAddr, sim.Events{
		Connected: func(err error) {
			if err != nil {
				t.ended = "refused"
				w.notConnected(err)
				return
			}
			t.write(fmt.Appendf(nil, "%c%0*d", tunnelMark, tunnelHead-1, t.num))
			t.say()
		},
		Data:  t.data,
		EOF:   func() { t.end("eof") },
		Reset: func() { t.end("reset") },
	})
}

func (t *tunnelClient) data(b []byte) {
	if t.w.mustBeOver(t.path, t.open) {
		t.w.violate("%s (%s) may not go on, and gets bytes", t.name, t.path)
	}
	t.match.want = t.owed
	t.match.add(b)
}

func (t *tunnelClient) write(b []byte) {
	t.owed = append(t.owed, b...)
	t.sock.Write(b)
}

func (t *tunnelClient) say() {
	if t.ended != "" {
		return
	}
	if t.left == 0 || t.w.quiet {
		t.fin = true
		t.sock.CloseWrite()
		return
	}
	t.left--
	t.write(body(t.num+t.left, 1+t.w.net.Rand.IntN(t.most)))
	t.w.net.After(t.w.net.Between(0, 300*time.Millisecond), t.say)
}

func (t *tunnelClient) end(how string) {
	if t.ended != "" {
		return
	}
	t.ended = how
	w := t.w
	w.trace("%s %s: %d of %d bytes back", t.name, how, t.match.n, len(t.owed))
	t.sock.Close()
	t.match.want = t.owed
	switch {
	case how == "eof" && t.fin && t.match.whole():
	case t.match.bad:
		w.violate("%s got bytes that were not sent through it", t.name)
	case how == "eof" && t.carrier != nil && t.carrier.bye && t.match.n == t.carrier.echoed:
		// The upstream said goodbye first, and all of it arrived.
	case how == "eof" && t.match.n == 0 && w.refusesTunnel(t):
	case t.carrier != nil && t.carrier.broken():
	case t.carrier == nil && (w.ups[0].wasDown(t.dialed) || w.ups[1].wasDown(t.dialed)):
	case t.carrier == nil && how == "eof" && t.match.n == 0 && w.allOut(t.dialed):
		// No healthy endpoint: as a request gets its 503 then, a tunnel is closed.
	case w.struck[t.sock.Addr], w.mayEnd(t.path, t.dialed):
	case t.carrier == nil && (how == "eof" || w.cutNow()) && w.net.Now().Sub(t.dialed) > pendingTimeout && w.crowded():
		w.net.Count["pending tunnel"]++ // on its way out when the deadline came, it is reset, and was not cut
	case w.pastClass(t.path):
		w.claims = append(w.claims, claim{peer: t.sock.Addr, what: t.name})
	case w.wasEvicted(t.sock.Addr):
		w.claimEvicted(claim{peer: t.sock.Addr, what: t.name})
	case w.cutNow():
		w.claims = append(w.claims, claim{peer: t.sock.Addr, what: t.name})
	default:
		w.violate("lost: %s ended by %s with %d of %d bytes back (fin %v)", t.name, how, t.match.n, len(t.owed), t.fin)
	}
}

// refusesTunnel: a tunnel that was accepted before anything was admitted is closed.
func (w *world) refusesTunnel(t *tunnelClient) bool {
	if t.carrier != nil {
		return false
	}
	at, ok := w.accepted[t.sock.Addr]
	return ok && (w.admittedAt.IsZero() || at.Before(w.admittedAt))
}
