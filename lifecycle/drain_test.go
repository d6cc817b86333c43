package lifecycle

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// drainedAfter stops a serving world and returns how long its lame duck lasted.
func (w *world) drainedAfter() time.Duration {
	w.t.Helper()
	if err := <-w.result; err != nil {
		w.t.Error(err)
	}
	for _, edge := range w.m.Transitions() {
		if edge.To == Draining {
			return edge.At.Sub(w.began)
		}
	}
	w.t.Fatal("never drained")
	return 0
}

// The lame duck lasts min, then until quiet, at most max.
func TestLameDuckLasts(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		cfg      Config
		arrivals []time.Duration // when new connections came, after the signal
		judged   bool
		want     time.Duration
		by       End
	}{
		"min when all is quiet":           {Config{}, nil, true, 5 * s, EndMin},
		"max when nobody can judge":       {Config{}, nil, false, 10 * s, EndMax},
		"until quiet":                     {Config{}, []time.Duration{4 * s}, true, 6 * s, EndQuiet},
		"until quiet, which is put off":   {Config{}, []time.Duration{4 * s, 5500 * time.Millisecond}, true, 7500 * time.Millisecond, EndQuiet},
		"max when it is never quiet":      {Config{}, []time.Duration{1 * s, 2 * s, 3 * s, 4 * s, 5 * s, 6 * s, 7 * s, 8 * s, 9 * s}, true, 10 * s, EndMax},
		"min and max by configuration":    {Config{LameDuckMin: s, LameDuckMax: 3 * s}, []time.Duration{500 * time.Millisecond}, true, 2500 * time.Millisecond, EndQuiet},
		"max is at least min":             {Config{LameDuckMin: 12 * s}, nil, true, 12 * s, EndMax},
		"quiet off":                       {Config{LameDuckQuiet: -1}, nil, true, 10 * s, EndMax},
		"none":                            {Config{LameDuckMin: -1, LameDuckMax: -1}, nil, true, 0, EndNone},
		"the fault that skips it":         {Config{Faults: Faults{LameDuckSkipped: true}}, nil, false, 0, EndNone},
		"min off: as soon as it is quiet": {Config{LameDuckMin: -1}, nil, true, 2 * s, EndQuiet},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, c.cfg)
				w.serving()
				w.quiet = func(now time.Time) (time.Duration, bool) {
					last := w.began
					for _, a := range c.arrivals {
						if at := w.began.Add(a); !at.After(now) {
							last = at
						}
					}
					return now.Sub(last), c.judged
				}
				w.term()
				if got := w.drainedAfter(); got != c.want {
					t.Errorf("lasted %v, want %v", got, c.want)
				}
				w.endedBy(c.by)
			})
		})
	}
}

// endedBy checks what the log says ended the lame duck; EndNone: there was none.
func (w *world) endedBy(want End) {
	w.t.Helper()
	for _, edge := range w.m.Transitions() {
		if edge.To == Draining && edge.By != want {
			w.t.Errorf("the lame duck was ended by %v, want %v", edge.By, want)
		}
	}
}

func TestAcknowledgeEndsTheLameDuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.serving()
		if err := w.m.Acknowledge(); err != ErrNotLameDuck {
			t.Errorf("serving: %v, want ErrNotLameDuck", err)
		}
		w.term()
		time.Sleep(time.Second)
		if err := w.m.Acknowledge(); err != nil {
			t.Error(err)
		}
		if got := w.drainedAfter(); got != time.Second {
			t.Errorf("lasted %v, want 1s", got)
		}
		if err := w.m.Acknowledge(); err != ErrTooLate {
			t.Errorf("later: %v, want ErrTooLate", err)
		}
		w.endedBy(EndAcknowledged)
	})
}

func TestUndoGoesBackToServing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.serving()
		if err := w.m.Undo(); err != nil {
			t.Errorf("with nothing to undo: %v", err)
		}
		if err := w.m.RequestDrain(true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		if err := w.m.Undo(); err != nil {
			t.Fatal(err)
		}
		w.want("calls", w.events(), ducks+" "+admits)
		time.Sleep(time.Hour)
		if got := w.m.State(); got != Serving {
			t.Fatalf("state %v, want Serving", got)
		}
		began := time.Now()
		w.term() // counts as the first again, and does not park
		if err := <-w.result; err != nil {
			t.Error(err)
		}
		w.want("calls", w.events(), ducks+" "+drains+" "+closes)
		if got := time.Since(began); got != DefaultLameDuckMax {
			t.Errorf("took %v", got)
		}
		w.want("transitions", w.transitions(), "Starting => Serving, Serving => LameDuck, LameDuck => Serving, "+
			"Serving => LameDuck, LameDuck => Draining, Draining => Stopped")
	})
}

// A signal in the middle of an undo begins the lame duck anew, and readiness never
// comes back in between.
func TestSignalDuringUndo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.serving()
		release := make(chan struct{})
		w.services["b"].admit = func() error { <-release; return nil }
		w.term()
		time.Sleep(time.Second)
		if err := w.m.Undo(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		w.term()
		close(release)
		if err := <-w.result; err != nil {
			t.Error(err)
		}
		w.want("calls", w.events(), ducks+" a.admit b.admit "+ducks+" "+drains+" "+closes)
		w.want("transitions", w.transitions(), "Starting => Serving, Serving => LameDuck, LameDuck => Draining, Draining => Stopped")
		if got, want := time.Since(w.began), 1500*time.Millisecond+DefaultLameDuckMax; got != want {
			t.Errorf("took %v, want %v", got, want)
		}
	})
}

// An undo that a service refuses, or does not answer, ends in a stop.
func TestUndoThatFails(t *testing.T) {
	for name, admit := range map[string]func(never chan struct{}) error{
		"refused": func(chan struct{}) error { return errors.New("no") },
		"hangs":   func(never chan struct{}) error { <-never; return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{})
				w.serving()
				never := make(chan struct{})
				w.services["a"].admit = func() error { return admit(never) }
				w.term()
				if err := w.m.Undo(); err != nil {
					t.Fatal(err)
				}
				if err := <-w.result; err == nil {
					t.Error("no error")
				}
				if got := w.m.State(); got != Failed {
					t.Errorf("state %v", got)
				}
				close(never)
			})
		})
	}
}

func TestUndoTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.services["a"].drain = func(ctx context.Context) error { <-ctx.Done(); return nil }
		w.serving()
		w.term()
		time.Sleep(11 * time.Second)
		if err := w.m.Undo(); err != ErrTooLate {
			t.Errorf("draining: %v, want ErrTooLate", err)
		}
		<-w.result
		if err := w.m.Undo(); err != ErrTooLate {
			t.Errorf("stopped: %v, want ErrTooLate", err)
		}
		if err := w.m.RequestDrain(true); err != ErrTooLate {
			t.Errorf("drain when stopped: %v, want ErrTooLate", err)
		}
	})
}

// A drain by API parks: everything but the traffic lives until a signal.
func TestDrainByAPIParks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.serving()
		if err := w.m.RequestDrain(true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		w.want("calls", w.events(), ducks+" "+drains)
		if got := w.m.State(); got != Drained {
			t.Fatalf("state %v, want Drained", got)
		}
		if err := w.m.RequestDrain(true); err != nil {
			t.Errorf("again: %v", err)
		}
		w.term()
		if err := <-w.result; err != nil {
			t.Error(err)
		}
		w.want("calls", w.events(), closes)
		w.want("transitions", w.transitions(), "Starting => Serving, Serving => LameDuck, LameDuck => Draining, Draining => Drained, Drained => Stopped")
	})
}

// Something that breaks meanwhile ends a drain that was to park.
func TestFailureDuringADrainByAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.serving()
		if err := w.m.RequestDrain(true); err != nil {
			t.Fatal(err)
		}
		w.m.Failed("b", errors.New("broken"))
		if err := <-w.result; err == nil {
			t.Error("no error")
		}
		w.want("calls", w.events(), ducks+" "+drains+" "+closes)
	})
}

// The budget of a stop from Drained counts from the signal that ends the parking.
func TestParkedProcessThatHangsWhileClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Grace: time.Hour})
		never := make(chan struct{})
		w.services["c"].close = func() error { <-never; return nil }
		w.serving()
		if err := w.m.RequestDrain(true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		began := time.Now()
		w.term()
		if err := <-w.result; err == nil {
			t.Error("no error")
		}
		if got, want := time.Since(began), 30*time.Second; got != want {
			t.Errorf("took %v, want the budget, %v", got, want)
		}
		close(never)
	})
}

func TestDrainByAPIThatExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.serving()
		if err := w.m.RequestDrain(false); err != nil {
			t.Fatal(err)
		}
		if err := <-w.result; err != nil {
			t.Error(err)
		}
		w.want("calls", w.events(), ducks+" "+drains+" "+closes)
	})
}

// A signal while a drain by API goes on takes it over: it will exit. It does not skip
// the lame duck, which nobody but a balancer can shorten; the second one does.
func TestSignalTakesOverADrainByAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.serving()
		if err := w.m.RequestDrain(true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		w.term()
		if err := <-w.result; err != nil {
			t.Error(err)
		}
		if got := time.Since(w.began); got != DefaultLameDuckMax {
			t.Errorf("took %v, want %v", got, DefaultLameDuckMax)
		}
	})
}

func TestDrainInOrderIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Faults: Faults{DrainInOrder: true}})
		w.serving()
		w.term()
		<-w.result
		w.want("the fault", w.events(), ducks+" a.drain b.drain c.drain a.close b.close c.close")
	})
}
