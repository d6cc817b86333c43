package wheel_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/proxy/engine/wheel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The oracle keeps (deadline) by node; the wheel must fire each node at the first
// Pop at or after its deadline plus one tick, and never before its deadline.
func TestAgainstDeadlines(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var w wheel.Wheel
	nodes := make([]wheel.Node, 200)
	deadline := map[*wheel.Node]time.Time{}
	now := time.Unix(1000, 0)
	fired := 0
	for range 50_000 {
		n := &nodes[rnd.IntN(len(nodes))]
		switch rnd.IntN(4) {
		case 0:
			w.Disarm(n)
			delete(deadline, n)
		case 1, 2:
			d := time.Duration(rnd.Int64N(int64(40 * time.Second)))
			w.Arm(n, now, d)
			deadline[n] = now.Add(d)
		case 3:
			now = now.Add(time.Duration(rnd.Int64N(int64(700 * time.Millisecond))))
			for n := w.Pop(now); n != nil; n = w.Pop(now) {
				dl, armed := deadline[n]
				if !armed {
					t.Fatal("a disarmed timer fired")
				}
				if dl.After(now) {
					t.Fatalf("fired %v early", dl.Sub(now))
				}
				delete(deadline, n)
				fired++
			}
			for n, dl := range deadline {
				if now.Sub(dl) > 2*wheel.Tick {
					t.Fatalf("%v late", now.Sub(dl))
				}
				if !n.Armed() {
					t.Fatal("lost a timer")
				}
			}
		}
	}
	if fired < 1000 {
		t.Fatalf("fired = %d: the test exercised nothing", fired)
	}
}

func TestNextNeverSleepsPastADeadline(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var w wheel.Wheel
		now := time.Unix(5, 0)
		nodes := make([]wheel.Node, 5)
		first := time.Duration(1 << 62)
		for i := range nodes {
			d := time.Duration(rnd.Int64N(int64(60 * time.Second)))
			first = min(first, d)
			w.Arm(&nodes[i], now, d)
		}
		start := now
		for steps := 0; ; steps++ {
			if n := w.Pop(now); n != nil {
				if late := now.Sub(start) - first; late < 0 || late > 2*wheel.Tick {
					t.Fatalf("first timer %v late", late)
				}
				break
			}
			next, ok := w.Next()
			if !ok || steps > 10 {
				t.Fatalf("ok %v after %d sleeps", ok, steps)
			}
			now = next
		}
	}
}

func TestLongSleep(t *testing.T) {
	var w wheel.Wheel
	var a, b wheel.Node
	now := time.Unix(0, 0)
	w.Arm(&a, now, time.Second)
	w.Arm(&b, now, time.Hour)
	now = now.Add(30 * time.Minute)
	if n := w.Pop(now); n != &a {
		t.Fatal("the due timer did not fire after a long sleep")
	}
	if n := w.Pop(now); n != nil {
		t.Fatal("the other timer fired early")
	}
	now = now.Add(31 * time.Minute)
	if n := w.Pop(now); n != &b {
		t.Fatal("the hour did not fire")
	}
	if _, ok := w.Next(); ok {
		t.Fatal("Next with nothing armed")
	}
}

func BenchmarkMove(b *testing.B) {
	var w wheel.Wheel
	nodes := make([]wheel.Node, 1000)
	now := time.Now()
	b.ReportAllocs()
	for i := range b.N {
		w.Arm(&nodes[i%1000], now, time.Duration(i%64)*time.Second)
	}
}
