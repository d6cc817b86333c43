package world

import (
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/lifecycle"
)

// script lays out one history: when the policy comes, who calls, what breaks, when it
// is told to stop.
func (w *world) script() {
	n, r := w.net, w.net.Rand
	stop := n.Between(600*time.Millisecond, 3*time.Second)

	// The policy comes early, late, or after the stop; then it may change.
	first := n.Between(0, 600*time.Millisecond)
	if n.Chance(0.05) {
		n.Count["stopped before the policy"]++
		first = stop + time.Second
	}
	n.After(n.Between(0, 300*time.Millisecond), func() {
		w.event(func(now time.Time) { w.machine.TargetReady(now, "keys") })
	})
	for v, at := 1, first; v <= 1+r.IntN(4); v++ {
		n.After(at, func() {
			if v > 1 {
				n.Count["policy change"]++
			}
			w.applyPolicy(v)
		})
		at += 60*time.Millisecond + n.Between(0, 2*time.Second)
	}

	for range 10 + r.IntN(10) {
		n.After(n.Between(0, stop+w.cfg.LameDuckMin+time.Second), func() { newClient(w) })
	}
	// A knocker calls from before the start until the door is closed.
	every := n.Between(40*time.Millisecond, 120*time.Millisecond)
	for at := time.Duration(0); at < stop+time.Second; at += every {
		n.After(at, func() {
			if w.exited.IsZero() {
				newKnock(w)
			}
		})
	}
	for range 1 + r.IntN(3) {
		n.After(n.Between(0, stop+w.cfg.LameDuckMin), func() { newTunnelClient(w) })
	}
	if n.Chance(0.3) {
		n.After(n.Between(first, stop+2*time.Second), func() {
			n.Count["upstream restart"]++
			w.ups[r.IntN(len(w.ups))].restart()
		})
	}

	signal := func(at time.Duration) {
		n.After(at, func() {
			w.signals++
			if w.signals > 1 {
				n.Count["impatient signal"]++
			}
			w.cutNow = w.cutNow || w.signals > 2
			w.trace("SIGTERM %d", w.signals)
			w.event(func(now time.Time) { w.machine.Signal(now, lifecycle.Terminate) })
		})
	}
	if n.Chance(0.15) {
		at := n.Between(first, stop)
		n.After(at, func() {
			n.Count["drain undone"]++
			w.event(func(now time.Time) { _ = w.machine.RequestDrain(now, false) })
		})
		n.After(at+n.Between(time.Millisecond, 300*time.Millisecond), func() {
			w.undone = true
			w.event(func(now time.Time) { _ = w.machine.Undo(now) })
			// An undo takes back a signal as well: then somebody sends another.
			if w.signals > 0 && w.state == health.ProcessLameDuck {
				w.signals = 0
				signal(time.Second)
			}
		})
	}
	signal(stop)
	if n.Chance(0.2) {
		signal(stop + 300*time.Millisecond + n.Between(0, time.Second))
	}
	if n.Chance(0.1) {
		signal(stop + 2*time.Second + n.Between(0, 3*time.Second))
	}
}

// The key that clients of keyed routes show.
const goodKey = "good"

// keys is an authenticator whose answers sometimes have to be fetched off the loop.
type keys struct{ w *world }

func authenticators(w *world) map[string]authz.Authenticator {
	return map[string]authz.Authenticator{"api_key": keys{w}}
}

func (keys) Name() string            { return "api_key" }
func (keys) ChallengeHeader() string { return `Bearer realm="sim"` }

func (k keys) Try(r *authz.Request) (*authz.Identity, authz.Verdict) {
	if k.w.net.Chance(0.5) {
		k.w.net.Count["pending stage"]++
		return nil, authz.Pending
	}
	return k.Resolve(r)
}

func (k keys) Resolve(r *authz.Request) (*authz.Identity, authz.Verdict) {
	v, n := r.Fields.Field("x-api-key")
	switch {
	case n == 0:
		return nil, authz.Deny
	case string(v) == goodKey:
		return &authz.Identity{Method: "api_key", User: "u-1"}, authz.Allow
	}
	return nil, authz.Challenge
}

// body is the deterministic content of n bytes for an ID.
func body(id string, n int) []byte {
	b := make([]byte, n)
	seed := uint32(2166136261)
	for _, c := range []byte(id) {
		seed = (seed ^ uint32(c)) * 16777619
	}
	for i := range b {
		b[i] = 'a' + byte((seed+uint32(i)*7)%26)
	}
	return b
}

func requestID(n int) string { return fmt.Sprintf("r%d", n) }
