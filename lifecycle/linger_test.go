package lifecycle

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// lingering is a fake that waits for a last look.
type lingering struct {
	*fake
	linger time.Duration
}

func (l lingering) Linger() time.Duration { return l.linger }

// TestLingererHasTimeOfItsOwn: whoever lingers is the last to drain, after another used up the budget of the drain; its own
// time begins then, ends within the budget of the stop, and at once with a third signal.
func TestLingererHasTimeOfItsOwn(t *testing.T) {
	const timeout, linger = 10 * time.Second, 6 * time.Second
	for _, c := range []struct {
		name    string
		budget  time.Duration
		signals int           // one each second
		uses    time.Duration // of the budget of the drain, by another
		want    time.Duration // when the one that lingers ends
	}{
		{"after the deadline", 30 * time.Second, 1, timeout, timeout + linger},
		{"with time to spare", 30 * time.Second, 1, time.Second, timeout},
		{"early, and longer than the drain may take", 30 * time.Second, 1, 7 * time.Second, 7*time.Second + linger},
		{"within the budget of the stop", 13 * time.Second, 1, timeout, 12 * time.Second},
		{"cut by a third signal", 30 * time.Second, 3, time.Second / 2, 2 * time.Second},
		{"not after a third signal", 30 * time.Second, 3, timeout, 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Config{Timeout: timeout, Budget: c.budget, LameDuckMin: -1, LameDuckMax: -1})
			w.m.machine.Linger("a", lingering{w.services["a"], linger}.Linger())
			w.services["c"].drain = func(ctx context.Context) error {
				select {
				case <-ctx.Done():
				case <-time.After(c.uses):
				}
				return nil
			}
			ended := make(chan time.Duration, 1)
			w.services["a"].drain = func(ctx context.Context) error {
				<-ctx.Done()
				ended <- time.Since(w.began)
				return nil
			}
			w.serving()
			w.began = time.Now()
			for range c.signals {
				w.term()
				time.Sleep(time.Second)
			}
			if err := <-w.result; err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			if got := <-ended; got != c.want {
				t.Errorf("%s: ended after %v, want %v", c.name, got, c.want)
			}
		})
	}
}

// TestLingerIsAskedAtRegister: of a service that has one, and of no other.
func TestLingerIsAskedAtRegister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.m.Register(lingering{&fake{name: "probes", w: w}, time.Minute})
		for _, s := range w.m.machine.services {
			if want := map[bool]time.Duration{true: time.Minute}[s.name == "probes"]; s.lingers != want {
				t.Errorf("%s lingers for %v, want %v", s.name, s.lingers, want)
			}
		}
		w.serving()
		w.term()
		<-w.result
	})
}
