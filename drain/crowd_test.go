package drain_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// A drain of 100,000 connections that went idle at all times of the seconds before it, and
// some of which are active still: it takes no more steps than its times have turns, because
// each step that is due looks at all of them, and the last Done ends it without one.
func TestADrainOfManyTakesFewSteps(t *testing.T) {
	n := many
	if testing.Short() {
		n = 10_000
	}
	now := time.Now()
	clock := func() time.Time { return now }
	tr := drain.New(drain.Config{Now: clock})
	if err := tr.Open(); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	type ended struct {
		c *drain.Conn
		o drain.Outcome
	}
	var leaving []ended // asked to go, and about to
	var busy []*drain.Conn
	gone := 0
	for i := range n {
		var c *drain.Conn
		c, err := tr.Track(drain.Meta{Listener: "web", Protocol: "http"}, func(cause drain.Cause) {
			o := drain.Cut
			if cause == drain.CauseIdle {
				o = drain.IdleClosed
			}
			leaving = append(leaving, ended{c, o})
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Active()
		if i%10 == 0 {
			busy = append(busy, c)
		} else {
			c.Idle()
		}
		now = now.Add(time.Duration(rnd.IntN(int(2 * drain.DefaultIdleClose / time.Duration(n)))))
	}
	rnd.Shuffle(len(busy), func(i, j int) { busy[i], busy[j] = busy[j], busy[i] })
	began := now
	tr.BeginDrain(now, now.Add(drain.DefaultTimeout))
	steps := 0
	for gone < n {
		next, done := tr.Step(now)
		steps++
		if done {
			t.Fatal("drained before everybody was gone")
		}
		for ; len(leaving) > 0; gone++ {
			e := leaving[len(leaving)-1]
			leaving = leaving[:len(leaving)-1]
			e.c.Done(e.o)
		}
		// Exchanges end all the time, and half of the connections then idle.
		for now.Before(next) && len(busy) > 0 && gone < n {
			c := busy[0]
			busy = busy[1:]
			if rnd.IntN(2) == 0 {
				c.Done(drain.Completed)
				gone++
			} else {
				c.Idle()
			}
			now = now.Add(time.Millisecond / 4)
		}
		if now.Before(next) {
			now = next
		}
	}
	select {
	case <-tr.Drained():
	default:
		t.Error("the last Done did not end the drain")
	}
	took := now.Sub(began)
	t.Logf("%d connections, %d steps, %v of simulated time", n, steps, took)
	if most := int(took/(10*time.Millisecond)) + 10; steps > most {
		t.Errorf("%d steps, each of which looks at everybody, want at most %d", steps, most)
	}
	if r := tr.Receipt(); r.CutTotal != 0 || r.Audit() != nil {
		t.Errorf("the receipt: %v, %v", r, r.Audit())
	}
}

func BenchmarkBeginLeaveOf100k(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		tr, _ := crowd(b, many)
		now := time.Now()
		b.StartTimer()
		tr.BeginLeave(now)
	}
}

func BenchmarkBeginDrainOf100k(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		tr, _ := crowd(b, many)
		now := time.Now()
		b.StartTimer()
		tr.BeginDrain(now, now.Add(drain.DefaultTimeout))
	}
}
