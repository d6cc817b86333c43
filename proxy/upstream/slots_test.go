package upstream_test

import (
	"math/rand/v2"
	"testing"

	"github.com/sluiceproxy/sluice/proxy/upstream"
)

func TestSlotsAreFirstComeFirstServed(t *testing.T) {
	c := cluster(upstream.Config{Endpoints: []string{"a:1"}, MaxConnections: 1, MaxPending: 3})
	acquire := func(w *upstream.Waiter) upstream.Acquired { got, _ := c.Acquire(w); return got }
	var first upstream.Waiter
	if acquire(&first) != upstream.HasSlot {
		t.Fatal("no slot although there is one")
	}
	ws := [3]upstream.Waiter{{Conn: 1}, {Conn: 2, Shard: 1}, {Conn: 3}}
	for i := range ws {
		if acquire(&ws[i]) != upstream.Queued {
			t.Fatal("not queued")
		}
	}
	if got := acquire(&upstream.Waiter{}); got != upstream.Full {
		t.Fatalf("%v with max_pending waiting", got)
	}
	if !ws[0].Leave() || ws[0].Leave() {
		t.Fatal("a waiter leaves once")
	}
	g, ok := c.Release()
	if !ok || g.Conn != 2 || g.Shard != 1 || g.Seq != ws[1].Seq {
		t.Fatalf("granted %+v, want the next in the queue", g)
	}
	if ws[1].Leave() {
		t.Error("a waiter left whose grant is on its way")
	}
	if g.Seq == ws[1].Seq {
		t.Error("a grant on its way still names a waiter that has given up")
	}
	if g, ok := c.Release(); !ok || g.Conn != 3 {
		t.Fatalf("granted %+v", g)
	}
	if _, ok := c.Release(); ok {
		t.Error("granted to nobody")
	}
	if conns, waiting, full := c.Load(); conns != 0 || waiting != 0 || full != 1 {
		t.Errorf("%d connections, %d waiting, %d refused", conns, waiting, full)
	}
}

// A free connection goes to a waiter of its own shard, but not past the first one for ever.
func TestAFreeConnectionIsNotAlwaysPassedOnAtHome(t *testing.T) {
	c := cluster(upstream.Config{Endpoints: []string{"a:1"}, MaxConnections: 1})
	c.Acquire(&upstream.Waiter{})
	far := upstream.Waiter{Shard: 1, Conn: 99}
	c.Acquire(&far)
	near := make([]upstream.Waiter, 20)
	for i := range near {
		near[i].Conn = uint64(i)
		c.Acquire(&near[i])
	}
	served := 0
	for {
		g, ok, keep := c.Pooled(0)
		if keep {
			t.Fatal("pooled although others wait")
		}
		if !ok {
			break // to be closed
		}
		if g.Conn != uint64(served) {
			t.Fatalf("served %d, want %d", g.Conn, served)
		}
		served++
	}
	if served != 8 {
		t.Errorf("%d waiters went before the first one", served)
	}
	if g, ok := c.Release(); !ok || g.Conn != 99 {
		t.Errorf("granted %+v", g)
	}
}

func TestWhoeverWaitsLearnsWhoHasAnIdleConnection(t *testing.T) {
	c := cluster(upstream.Config{Endpoints: []string{"a:1"}, MaxConnections: 2})
	c.Acquire(&upstream.Waiter{})
	c.Acquire(&upstream.Waiter{})
	if _, _, keep := c.Pooled(2); !keep {
		t.Fatal("not pooled although nobody waits")
	}
	w := upstream.Waiter{}
	if got, ask := c.Acquire(&w); got != upstream.Queued || ask != 2 {
		t.Errorf("%v, ask %d, want shard 2", got, ask)
	}
	c.Unpooled(2, 1)
	if _, ask := c.Acquire(&upstream.Waiter{}); ask != -1 {
		t.Errorf("ask %d, want nobody", ask)
	}
}

// A model against a plain list: over random histories the limit is exact, the queue is in
// order for each shard, and nobody is forgotten.
func TestSlotsAgainstAModel(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		limit := 1 + r.IntN(4)
		c := cluster(upstream.Config{Endpoints: []string{"a:1"}, MaxConnections: limit})
		conns := 0
		var waiting []*upstream.Waiter
		served := func(g upstream.Grant) {
			for i, w := range waiting {
				if w.Conn == g.Conn {
					for _, before := range waiting[:i] {
						if before.Shard == w.Shard && !before.Fresh {
							t.Fatalf("seed %d: %d was served before %d of the same shard", seed, g.Conn, before.Conn)
						}
					}
					waiting = append(waiting[:i:i], waiting[i+1:]...)
					return
				}
			}
			t.Fatalf("seed %d: granted to %d, who does not wait", seed, g.Conn)
		}
		for step := range 400 {
			switch r.IntN(4) {
			case 0, 1:
				w := &upstream.Waiter{Shard: r.IntN(3), Conn: uint64(step)}
				if got, _ := c.Acquire(w); got == upstream.HasSlot {
					conns++
				} else {
					waiting = append(waiting, w)
				}
			case 2:
				if conns > 0 {
					g, ok, _ := c.Pooled(r.IntN(3))
					if ok {
						served(g) // with the connection
						continue
					}
					if g, ok := c.Release(); ok {
						served(g)
					} else {
						conns--
					}
				}
			case 3:
				if len(waiting) > 0 {
					i := r.IntN(len(waiting))
					if !waiting[i].Leave() {
						t.Fatalf("seed %d: %d is not in the queue", seed, waiting[i].Conn)
					}
					waiting = append(waiting[:i:i], waiting[i+1:]...)
				}
			}
			if n, q, _ := c.Load(); n != conns || n > limit || q != len(waiting) || q > 0 && n < limit {
				t.Fatalf("seed %d: %d connections (want %d, limit %d), %d waiting (want %d)", seed, n, conns, limit, q, len(waiting))
			}
		}
	}
}
