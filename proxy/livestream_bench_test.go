package proxy

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// crowd is a loop with n open tunnels of as many sessions, none of which may end.
func crowd(n int) *loop {
	w := newWalk(nil, Config{Sessions: newLogins()})
	w.open()
	l := w.core.loops[0]
	w.core.post = func(int, any) {}
	snap := w.core.gate.Load()
	for i := range n {
		p := &tunnelPair{l: l}
		for side := range p.ends {
			p.ends[side] = &tunnelEnd{l: l, p: p}
		}
		p.live = liveStream{p: p, snap: snap, asked: &asked{method: "GET", host: []byte("app.test"), path: fmt.Appendf(nil, "/a/%d", i)},
			identity: &authz.Identity{User: "u", Session: &authz.Session{ID: "s", Expires: l.now().Add(time.Hour)}}}
		l.join(&p.live)
	}
	return l
}

// walkAll walks over all and returns how long the longest piece took.
func (l *loop) walkAll() (pieces int, longest time.Duration) {
	r := &l.live.rosters[everyStream]
	for n := (recheckNote{}); n == (recheckNote{}) || r.runs; n.goesOn = true {
		began := time.Now()
		l.recheck(n)
		longest = max(longest, time.Since(began))
		pieces++
	}
	return pieces, longest
}

// BenchmarkRecheck walks over 100,000 streams: their sessions, and under a new policy their rules, too.
func BenchmarkRecheck(b *testing.B) {
	for _, anew := range []bool{false, true} {
		b.Run(fmt.Sprintf("policy changed %v", anew), func(b *testing.B) {
			l := crowd(100_000)
			b.ReportAllocs()
			var longest time.Duration
			for b.Loop() {
				if anew {
					snap := *l.gate.Load()
					snap.routes[0].chain = &chain{Authenticators: []authz.Authenticator{named("")}}
					l.gate.Store(&snap)
				}
				_, most := l.walkAll()
				longest = max(longest, most)
			}
			b.ReportMetric(float64(longest.Microseconds()), "µs/longest-piece")
		})
	}
}

// named is an authenticator that nobody asks.
type named string

func (n named) Name() string                                          { return string(n) }
func (named) ChallengeHeader() string                                 { return "" }
func (named) Try(*authz.Request) (*authz.Identity, authz.Verdict)     { return nil, authz.Deny }
func (named) Resolve(*authz.Request) (*authz.Identity, authz.Verdict) { return nil, authz.Deny }

// A walk over many streams goes in many pieces, none of them is missed, and nothing is allocated for them.
func TestWalkOverACrowd(t *testing.T) {
	const n = 20_000
	l := crowd(n)
	asked := 0
	l.cfg.Sessions = counting{&asked}
	pieces, _ := l.walkAll()
	if asked != n || pieces < n*costDecides/walkPiece {
		t.Errorf("%d of %d asked, in %d pieces", asked, n, pieces)
	}
	if got := testing.AllocsPerRun(2, func() { l.walkAll() }); got > float64(2*pieces) { // a note each
		t.Errorf("%v allocations for %d streams", got, n)
	}
}

// counting counts, and ends nothing.
type counting struct{ n *int }

func (c counting) Ended(*authz.Session, time.Time) string { *c.n++; return "" }

// BenchmarkComesAndGoes is what a response without a length costs more than one that has one.
func BenchmarkComesAndGoes(b *testing.B) {
	l := crowd(1000)
	x := &exchange{l: l, snap: l.gate.Load(), route: &l.gate.Load().routes[0]}
	b.ReportAllocs()
	for b.Loop() {
		if x.barred(false) {
			b.Fatal("it may not begin")
		}
		l.part(&x.live)
	}
}
