package wheel_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine/wheel"
)

// The oracle keeps the deadline of each timer of each group: none fires early, none is lost,
// and a loop that sleeps until Next is in time for all of them.
func TestGroupsAgainstDeadlines(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	var w wheel.Wheel
	groups := make([]wheel.Group, 50)
	deadline := map[[2]int]time.Time{}
	for i := range groups {
		groups[i].Owner = i
	}
	now := time.Unix(1000, 0)
	fired := 0
	for range 100_000 {
		g, i := rnd.IntN(len(groups)), rnd.IntN(wheel.GroupSize)
		switch rnd.IntN(6) {
		case 0:
			groups[g].Disarm(i)
			delete(deadline, [2]int{g, i})
		case 1:
			if rnd.IntN(20) == 0 {
				groups[g].DisarmAll(&w)
				for i := range wheel.GroupSize {
					delete(deadline, [2]int{g, i})
				}
			}
		case 2, 3, 4:
			d := time.Duration(rnd.Int64N(int64(40 * time.Second)))
			groups[g].Arm(&w, i, now, d)
			deadline[[2]int{g, i}] = now.Add(d)
		case 5:
			step := now.Add(time.Duration(rnd.Int64N(int64(700 * time.Millisecond))))
			if next, ok := w.Next(); ok && next.Before(step) {
				step = next
			}
			if step.After(now) {
				now = step
			}
			for n := w.Pop(now); n != nil; n = w.Pop(now) {
				g := n.Owner.(int)
				for i := groups[g].Pop(&w, now); i >= 0; i = groups[g].Pop(&w, now) {
					dl, armed := deadline[[2]int{g, i}]
					if !armed || dl.After(now) {
						t.Fatalf("armed %v, %v early", armed, dl.Sub(now))
					}
					delete(deadline, [2]int{g, i})
					fired++
				}
			}
			for k, dl := range deadline {
				if now.Sub(dl) > 2*wheel.Tick {
					t.Fatalf("timer %v is %v late", k, now.Sub(dl))
				}
			}
		}
	}
	if fired < 1000 {
		t.Fatalf("fired = %d: the test exercised nothing", fired)
	}
}

// A timer that a timer of the same group arms, due at once, is given out in the same turn.
func TestGroupRearmedWhilePopping(t *testing.T) {
	var w wheel.Wheel
	var g wheel.Group
	now := time.Unix(0, 0)
	g.Arm(&w, 2, now, time.Millisecond)
	now = now.Add(time.Second)
	if w.Pop(now) != &g.Node || g.Pop(&w, now) != 2 {
		t.Fatal("it did not fire")
	}
	g.Arm(&w, 1, now, time.Second) // by whoever hears of it
	if i := g.Pop(&w, now); i != -1 {
		t.Fatalf("%d fired early", i)
	}
	if next, ok := w.Next(); !ok || next.After(now.Add(time.Second+2*wheel.Tick)) {
		t.Fatalf("next %v, %v", next, ok)
	}
	now = now.Add(2 * time.Second)
	if w.Pop(now) != &g.Node || g.Pop(&w, now) != 1 {
		t.Fatal("it did not fire")
	}
}

func BenchmarkGroup(b *testing.B) {
	var w wheel.Wheel
	groups := make([]wheel.Group, 1000)
	now := time.Now()
	b.ReportAllocs()
	for i := range b.N {
		g := &groups[i%1000]
		g.Arm(&w, i&1, now, time.Duration(30+i%2*30)*time.Second)
		g.Disarm(i & 1)
	}
}
