package lifecycle

import (
	"context"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Each row is a series of signals, each some time after the one before, and what
// becomes of a process whose last service drains for ever unless its context ends.
func TestSignalTable(t *testing.T) {
	const term, intr = syscall.SIGTERM, syscall.SIGINT
	type sent struct {
		after time.Duration
		sig   os.Signal
	}
	const second = time.Second
	for name, c := range map[string]struct {
		interactive bool
		signals     []sent
		lameDuck    bool          // was there one?
		draining    time.Duration // when draining began, after the first signal
		over        time.Duration // when Run returned, after the first signal
	}{
		"one":                       {false, []sent{{0, term}}, true, 10 * second, 25 * second},
		"interrupt is the same":     {false, []sent{{0, intr}}, true, 10 * second, 25 * second},
		"two skip the lame duck":    {false, []sent{{0, term}, {second, term}}, true, second, 16 * second},
		"two kinds":                 {false, []sent{{0, term}, {second, intr}}, true, second, 16 * second},
		"three cut":                 {false, []sent{{0, term}, {second, term}, {second, term}}, true, second, 2 * second},
		"repeats count once":        {false, []sent{{0, term}, {100 * time.Millisecond, term}, {149 * time.Millisecond, intr}}, true, 10 * second, 25 * second},
		"250 ms is no repeat":       {false, []sent{{0, term}, {250 * time.Millisecond, term}}, true, 250 * time.Millisecond, 15*second + 250*time.Millisecond},
		"terminal: no lame duck":    {true, []sent{{0, intr}}, false, 0, 15 * second},
		"terminal: the second cuts": {true, []sent{{0, intr}, {second, intr}}, false, 0, second},
		"terminal: TERM is TERM":    {true, []sent{{0, term}}, true, 10 * second, 25 * second},
		"terminal: INT after TERM":  {true, []sent{{0, term}, {second, intr}}, true, second, 16 * second},
		"four are as three":         {false, []sent{{0, term}, {second, term}, {second, term}, {second, term}}, true, second, 2 * second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{Interactive: c.interactive})
				w.services["a"].drain = func(ctx context.Context) error { <-ctx.Done(); return nil }
				w.serving()
				done := make(chan struct{})
				var over time.Duration
				go func() {
					defer close(done)
					if err := <-w.result; err != nil {
						t.Error(err)
					}
					over = time.Since(w.began)
				}()
				for _, s := range c.signals {
					time.Sleep(s.after)
					select {
					case w.signals <- s.sig:
					case <-done: // the fourth comes too late
					}
					synctest.Wait()
				}
				<-done
				if over != c.over {
					t.Errorf("over after %v, want %v", over, c.over)
				}
				lameDuck := false
				for _, edge := range w.m.Transitions() {
					switch edge.To {
					case LameDuck:
						lameDuck = true
					case Draining:
						if got := edge.At.Sub(w.began); got != c.draining {
							t.Errorf("draining after %v, want %v", got, c.draining)
						}
					default:
					}
				}
				if lameDuck != c.lameDuck {
					t.Errorf("lame duck: %v, want %v", lameDuck, c.lameDuck)
				}
			})
		})
	}
}

// The third signal ends the time of every service, not only of the one that holds on.
func TestThirdSignalCutsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		var causes []error
		for _, f := range w.services {
			f.drain = func(ctx context.Context) error {
				<-ctx.Done()
				causes = append(causes, context.Cause(ctx))
				return nil
			}
		}
		w.serving()
		for range 3 {
			w.term()
			time.Sleep(time.Second)
		}
		if err := <-w.result; err != nil {
			t.Error(err)
		}
		if got, want := w.m.Transitions()[3].At.Sub(w.began), 2*time.Second; got != want {
			t.Errorf("stopped after %v, want %v", got, want)
		}
		if len(causes) != 3 || causes[0] != errCutNow || causes[1] != context.DeadlineExceeded {
			t.Errorf("causes %v", causes)
		}
	})
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reloads, release := 0, make(chan struct{})
		w := newWorld(t, Config{Reload: func(context.Context) { reloads++; <-release }})
		w.serving()
		for range 5 { // one runs, the others come meanwhile and count once
			w.send(syscall.SIGHUP)
		}
		release <- struct{}{}
		synctest.Wait()
		release <- struct{}{}
		synctest.Wait()
		if reloads != 2 {
			t.Errorf("%d reloads, want 2", reloads)
		}
		if got := w.m.State(); got != Serving {
			t.Errorf("state %v after a reload", got)
		}
		w.term()
		if err := <-w.result; err != nil {
			t.Error(err)
		}
	})
}

// A reload that never returns does not keep Run from returning.
func TestReloadThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		w := newWorld(t, Config{Reload: func(context.Context) { <-never }})
		w.serving()
		w.send(syscall.SIGHUP)
		w.term()
		<-w.result
		if got, want := time.Since(w.began), DefaultLameDuckMax+DefaultGrace; got != want {
			t.Errorf("took %v, want %v", got, want)
		}
		close(never)
	})
}

func TestHangupWithoutReloadDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.serving()
		w.send(syscall.SIGHUP)
		w.want("calls", w.events(), "")
		w.term()
		<-w.result
	})
}
