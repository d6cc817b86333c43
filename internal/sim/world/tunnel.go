package world

import (
	"bytes"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
)

// tunnelClient sends through a raw TCP listener, wants everything back, and says
// goodbye by half-close.
type tunnelClient struct {
	w     *world
	sock  *sim.Sock
	sent  []byte
	got   []byte
	left  int
	fin   bool
	ended string // how; "": not yet
	live  bool
}

func newTunnelClient(w *world) {
	if w.quiet {
		return
	}
	t := &tunnelClient{w: w, left: 1 + w.net.Rand.IntN(12)}
	if w.net.Chance(0.1) {
		w.net.Count["endless tunnel"]++
		t.left = 1 << 30
	}
	w.tunnels = append(w.tunnels, t)
	t.sock = w.net.Dial(tcpAddr, sim.Events{
		Connected: func(err error) {
			if err != nil {
				t.ended = "refused"
				return
			}
			t.live = true
			t.write([]byte("raw"))
			t.say()
		},
		Data:  func(b []byte) { t.got = append(t.got, b...) },
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
	t.write(body("t", 1+t.w.net.Rand.IntN(3000)))
	t.w.net.After(t.w.net.Between(0, 300*time.Millisecond), t.say)
}

func (t *tunnelClient) end(how string) {
	if t.ended != "" {
		return
	}
	t.ended = how
	t.w.trace("tunnel %s: %d of %d bytes back", how, len(t.got), len(t.sent))
	t.sock.Close()
	w := t.w
	whole := how == "eof" && t.fin && bytes.Equal(t.got, t.sent)
	switch {
	case whole:
	case len(t.got) == 0 && (w.enforced == 0 || !t.fin && w.refusesTCP(t)):
		// refused before the policy: closed without a byte
	case w.cutNow, w.upstreamFaults > 0 && len(w.ups) > 0 && w.restarted():
	case !w.deadline.IsZero() && !w.net.Now().Before(w.deadline.Add(-2*time.Second)):
	default:
		w.violate("lost: a tunnel ended by %s with %d of %d bytes back (fin %v)", how, len(t.got), len(t.sent), t.fin)
	}
}

func (w *world) restarted() bool { return w.net.Count["upstream restart"] > 0 }

// refusesTCP: closed before anything was forwarded is a refusal, not a loss; judged only
// while the proxy was not admitting.
func (w *world) refusesTCP(*tunnelClient) bool {
	return w.admittedAt.IsZero() || w.net.Now().Before(w.admittedAt.Add(2*time.Second))
}
