package world

import (
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
)

// tunnelClient sends through a raw TCP listener, wants everything back, and says
// goodbye by half-close.
type tunnelClient struct {
	w       *world
	num     int
	sock    *sim.Sock
	sent    []byte
	match   matcher
	left    int // messages
	most    int // bytes of a message
	fin     bool
	ended   string // how; "": not yet
	dialed  time.Time
	carrier *carrier // the connection to the upstream, once its first bytes were seen
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
	t := &tunnelClient{w: w, num: len(w.tunnels), left: 1 + w.net.Rand.IntN(12), most: 3000, dialed: w.net.Now()}
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
		Data:  func(b []byte) { t.match.want = t.sent; t.match.add(b) },
		EOF:   func() { t.end("eof") },
		Reset: func() { t.end("reset") },
	})
}

func (t *tunnelClient) write(b []byte) {
	t.sent = append(t.sent, b...)
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
	w.trace("tunnel %d %s: %d of %d bytes back", t.num, how, t.match.n, len(t.sent))
	t.sock.Close()
	switch {
	case how == "eof" && t.fin && t.match.whole():
	case t.match.bad:
		w.violate("tunnel %d got bytes that were not sent through it", t.num)
	case how == "eof" && t.match.n == 0 && w.refusesTunnel(t):
	case t.carrier != nil && t.carrier.broken():
	case t.carrier == nil && (w.ups[0].wasDown(t.dialed) || w.ups[1].wasDown(t.dialed)):
	case w.cutNow():
		w.claims = append(w.claims, claim{t.sock.Addr, fmt.Sprintf("tunnel %d", t.num), false})
	default:
		w.violate("lost: tunnel %d ended by %s with %d of %d bytes back (fin %v)", t.num, how, t.match.n, len(t.sent), t.fin)
	}
}

// refusesTunnel: a tunnel that was accepted before anything was admitted is closed.
func (w *world) refusesTunnel(t *tunnelClient) bool {
	at, ok := w.accepted[t.sock.Addr]
	return ok && (w.admittedAt.IsZero() || at.Before(w.admittedAt))
}
