package proxy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// Whatever both peers, their connections, a drain and an operator do in whatever order: nothing panics, everything is released, and the books
// balance.
func TestWebSocketsInAnyOrder(t *testing.T) {
	onEvery(t, pairings, func(t *testing.T, p pairing) {
		for seed := range uint64(100) {
			anyOrder(t, p, rand.New(rand.NewPCG(seed, 8441)))
			if t.Failed() {
				t.Fatalf("with seed %d", seed)
			}
		}
	})
}

func anyOrder(t *testing.T, p pairing, rng *rand.Rand) {
	x := newCross(t, p, Config{Panicked: func(_ string, v any, stack []byte) { t.Errorf("%v\n%s", v, stack) }})
	if rng.IntN(3) == 0 {
		x.net.Window = 1000 + rng.IntN(5000)
	}
	x.ask(strings.Repeat(wsFrame(1, "early", true), rng.IntN(2)))
	clients := map[*wsEnd]bool{x.client: true}
	for i := range rng.IntN(3) {
		if p.h2Client {
			clients[x.connect(fmt.Sprintf("/%d", i), "")] = true
		}
	}
	silent := map[*wsEnd]bool{} // it has ended its side, or its connection is gone
	drains := false
	begin := func() {
		if drains = true; rng.IntN(2) == 0 {
			x.lameDuck()
			x.pass(time.Duration(rng.IntN(1000)) * time.Millisecond)
		}
		x.drain(time.Duration(1+rng.IntN(5)) * time.Second)
		x.core.Patrol()
		x.core.Tell()
	}
	for range 5 + rng.IntN(25) {
		e := x.ends[rng.IntN(len(x.ends))]
		c := clients[e]
		closes := wsFrame(8, "\x03\xe8", c)
		says := func(s string) {
			if !silent[e] && !e.reset && (c || e.head != "") {
				e.send(s)
			}
		}
		switch rng.IntN(14) {
		case 0, 1, 2:
			says(wsFrame(2, strings.Repeat("x", rng.IntN(30_000)), c))
		case 3:
			says(closes)
		case 4:
			says(wsFrame(1, "before", c) + closes + wsFrame(1, "behind", c))
		case 5:
			f := wsFrame(2, strings.Repeat("y", 1000), c)
			says(f[:rng.IntN(len(f))])
		case 6, 7:
			if !silent[e] && !e.reset {
				silent[e] = true
				[]func(){e.finish, e.cut}[rng.IntN(2)]()
			}
		case 8:
			if !drains && rng.IntN(3) == 0 {
				begin()
			}
		case 9:
			if open := x.tracker.Snapshot(0); len(open) > 0 && rng.IntN(4) == 0 {
				x.tracker.Evict(open[0].ID)
			}
		case 10:
			if rng.IntN(4) == 0 {
				x.breakLink(clients, silent, rng.IntN(2) == 0)
			}
		case 11, 12:
			x.pass(time.Duration(rng.IntN(1500)) * time.Millisecond)
		default:
			x.pass(time.Duration(rng.IntN(3000)) * time.Microsecond)
		}
		x.until("the ends are looked at", func() bool { return true })
	}
	if !drains {
		begin()
	}
	if r := x.receiptOf(); r.StuckTotal > 0 {
		t.Errorf("stuck: %+v", r.Stuck)
	}
	x.noneLeft()
	x.nothingHeld()
	x.core.postAll(retireNote{})
	x.until("no connection is left", func() bool { return x.driver.Conns() == 0 })
	if l := x.core.loops[0]; len(l.headless) > 0 || len(l.parted) > 0 {
		t.Errorf("%d without a head, %d not told", len(l.headless), len(l.parted))
	}
	if x.tracker.State() != drain.Drained {
		t.Errorf("the tracker is %v", x.tracker.State())
	}
}

// breakLink ends the shared connection of one side, if that speaks HTTP/2.
func (x *cross) breakLink(clients, silent map[*wsEnd]bool, client bool) {
	switch {
	case client && x.peer != nil:
		x.peer.Abort()
	case !client && x.origins != nil:
		for _, o := range *x.origins {
			o.Abort()
			o.eof = true
		}
	default:
		return
	}
	for _, e := range x.ends {
		if clients[e] == client {
			silent[e] = true
		}
	}
}
