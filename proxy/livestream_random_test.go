package proxy

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// TestWalkMissesNobody: whoever is in a roster from the beginning of a walk to its end is looked at, whoever else comes and goes; and
// no piece is long.
func TestWalkMissesNobody(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		var r roster
		in := map[*liveStream]bool{}
		join := func() {
			o := &liveStream{}
			r.add(o, everyStream)
			in[o] = true
		}
		leave := func() {
			if len(r.list) > 0 {
				o := r.list[rnd.IntN(len(r.list))]
				r.remove(o, everyStream)
				delete(in, o)
			}
		}
		for range rnd.IntN(3000) {
			join()
		}
		wanted := map[*liveStream]bool{}
		for o := range in {
			wanted[o] = true
		}
		r.from = len(r.list)
		for more := true; more; {
			cost := 0
			more = r.step(func(o *liveStream) int {
				delete(wanted, o)
				c := []int{costGlance, costDecides, costEnds}[rnd.IntN(3)]
				if c == costEnds {
					r.remove(o, everyStream)
					delete(in, o)
				}
				cost += c
				return c
			})
			if cost >= walkPiece+costEnds {
				t.Fatalf("seed %d: a piece cost %d", seed, cost)
			}
			for range rnd.IntN(20) {
				join()
				leave()
			}
			if rnd.IntN(3) == 0 {
				for range rnd.IntN(200) {
					leave()
				}
			}
		}
		for o := range wanted {
			if in[o] {
				t.Fatalf("seed %d: a stream was not looked at", seed)
			}
		}
		if len(in) != len(r.list) {
			t.Fatalf("seed %d: %d in the list, %d have joined and not left", seed, len(r.list), len(in))
		}
		for i, o := range r.list {
			if !in[o] || o.at[everyStream] != i+1 {
				t.Fatalf("seed %d: place %d", seed, i)
			}
		}
	}
}

// TestRechecksAreOne: calls that come before the loop has begun are one walk; one that comes while it walks has it walk again.
func TestRechecksAreOne(t *testing.T) {
	w := newWalk(t, Config{Sessions: newLogins()})
	w.open()
	notes := 0
	post := w.core.post
	w.core.post = func(shard int, v any) {
		if n, is := v.(recheckNote); is && !n.goesOn {
			notes++
		}
		post(shard, v)
	}
	for range 50 {
		w.core.Recheck()
	}
	w.until("the walk", func() bool { return !w.core.loops[0].rechecks.Load() })
	if notes != 1 {
		t.Errorf("%d walks", notes)
	}
	l := w.core.loops[0]
	l.live.rosters[everyStream].runs = true
	w.core.Recheck()
	w.until("another", func() bool { return l.live.rosters[everyStream].again })
}

// TestEndsCross: a WebSocket ends by itself, by its client, by its server or by a drain at the moment in which it may not go on: whatever
// comes first, everything is over and nothing is left, and no two Closes go to one side.
func TestEndsCross(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		p := pairings[rnd.IntN(len(pairings))]
		cfg := Config{Sessions: newLogins()}
		if rnd.IntN(3) == 0 { // and a panic somewhere
			cfg.Faults.Panic = func(engine.ConnID) bool { return rnd.IntN(40) == 0 }
		}
		x := newCross(t, p, cfg)
		k := x.guard()
		x.core.cfg.Panicked = nil
		clients, servers := x.some(rnd)
		for i := range clients {
			x.lives(rnd, clients[i], true)
			x.lives(rnd, servers[i], false)
		}
		x.net.After(time.Duration(rnd.IntN(60))*time.Millisecond, func() {
			k.revoked["ann"], k.revoked["bob"] = true, true
			x.core.Recheck()
		})
		if rnd.IntN(3) == 0 {
			x.net.After(time.Duration(rnd.IntN(60))*time.Millisecond, func() { x.drain(time.Duration(rnd.IntN(900)) * time.Millisecond) })
		}
		x.pass(3 * time.Second)
		for _, r := range x.core.loops[0].live.rosters {
			if len(r.list) > 0 {
				t.Fatalf("seed %d (%v): %d streams are left", seed, p, len(r.list))
			}
		}
		for _, e := range slices.Concat(clients, servers) {
			e.cut()
		}
		if x.peer != nil {
			x.peer.Close()
		}
		x.noneLeft()
		x.nothingHeld()
		if n := len(x.core.loops[0].headless); n > 0 {
			t.Fatalf("seed %d: %d without a head", seed, n)
		}
	}
}

// lives has an end say something, close, or go, or several of it in this order.
func (x *cross) lives(rnd *rand.Rand, e *wsEnd, masked bool) {
	at := time.Duration(0)
	for _, f := range []func(){
		func() { e.send(wsFrame(1, "hello", masked)) },
		func() { e.send(wsFrame(8, "\x03\xe8", masked)) },
		e.finish,
		e.cut,
	} {
		at += time.Duration(rnd.IntN(25)) * time.Millisecond
		if rnd.IntN(3) == 0 {
			x.net.After(at, f)
		}
	}
}

// some opens a few WebSockets, as far as that is possible.
func (x *cross) some(rnd *rand.Rand) (clients, servers []*wsEnd) {
	for _, user := range []string{"ann", "bob", "ann"}[:1+rnd.IntN(3)] {
		if c, s := x.login(user); s != nil && !c.eof && !c.reset {
			clients, servers = append(clients, c), append(servers, s)
		}
	}
	return clients, servers
}
