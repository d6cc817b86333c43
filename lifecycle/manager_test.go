package lifecycle

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/health"
)

const (
	started = "a.start b.start c.start"
	admits  = "a.admit b.admit c.admit"
	ducks   = "a.duck b.duck c.duck"
	drains  = "c.drain b.drain a.drain"
	closes  = "c.close b.close a.close"
)

func TestWholeLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		policy := w.m.Target("policy.sync.initial")
		routes := w.m.Target("proxy.route")
		w.run(t.Context())
		w.want("started", w.events(), started)

		policy.Waiting(errors.New("no such file"))
		time.Sleep(time.Hour) // a timeout never opens the gate
		routes.Ready()
		w.want("one target missing", w.events(), "")
		if c, _ := w.health.Snapshot().Check("policy.sync.initial"); c.Class != health.Required || c.Status != health.Starting || c.Error != "no such file" {
			t.Errorf("health says %+v", c)
		}
		policy.Ready()
		policy.Waiting(errors.New("too late to matter"))
		w.want("admitted", w.events(), admits)
		if v := w.health.Snapshot().Verdict(health.Ready); !v.OK {
			t.Errorf("serving, and %v", v)
		}

		began := time.Now()
		w.term()
		w.want("lame duck", w.events(), ducks)
		if err := <-w.result; err != nil {
			t.Error(err)
		}
		w.want("stop", w.events(), drains+" "+closes)
		if got := time.Since(began); got != DefaultLameDuckMax {
			t.Errorf("took %v, want the maximum of the lame duck: nobody judged", got)
		}
		w.want("transitions", w.transitions(), "Starting => Serving, Serving => LameDuck, LameDuck => Draining, Draining => Stopped")
	})
}

// Invariant 5: readiness flips before any service hears of a stop, and never back. The
// notes of the fakes say "(ready)" if the process was ready when the call came.
func TestInvariant5_ReadinessFlipsFirst(t *testing.T) {
	for _, late := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Config{Faults: Faults{ReadyLate: late}})
			w.serving()
			w.term()
			<-w.result
			if got := strings.Contains(w.events(), "(ready)"); got != late {
				t.Errorf("with the fault %v: ready during the stop: %v", late, got)
			}
		})
	}
}

// What the world outside is told, by a provider, in order.
func TestWhatProvidersAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.health.Attach(w)
		w.run(t.Context())
		w.events()
		w.term()
		<-w.result
		w.health.Close()
		var told []string
		for event := range strings.FieldsSeq(w.events()) {
			if event[0] == '[' {
				told = append(told, event)
			}
		}
		if got := strings.Join(told, " "); !strings.HasPrefix(got, "[LameDuck]") || !strings.HasSuffix(got, "[Stopped]") || strings.Contains(got, "Serving") {
			t.Errorf("told %s", got)
		}
	})
}

func TestAdmitEarlyIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Faults: Faults{AdmitEarly: true}})
		w.m.Target("policy.sync.initial")
		w.run(t.Context())
		if got := w.m.State(); got != Serving {
			t.Errorf("the fault does nothing: state %v", got)
		}
		w.term()
		<-w.result
	})
}

func TestStartFailureStopsWhatStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		sentinel := errors.New("address already in use")
		w.services["b"].start = func(context.Context) error { return sentinel }
		w.run(t.Context())
		err := <-w.result
		if !errors.Is(err, sentinel) || !strings.Contains(err.Error(), "start b: address already in use") {
			t.Errorf("error %v", err)
		}
		w.want("calls", w.events(), "a.start b.start a.drain a.close")
		w.want("transitions", w.transitions(), "Starting => Draining, Draining => Failed")
	})
}

func TestAdmitFailureStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.services["b"].admit = func() error { return errors.New("no") }
		w.run(t.Context())
		if err := <-w.result; err == nil || !strings.Contains(err.Error(), "admit b: no") {
			t.Errorf("error %v", err)
		}
		w.want("calls", w.events(), started+" a.admit b.admit "+drains+" "+closes)
	})
}

func TestTargetFailureIsFatal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		target := w.m.Target("session.keys")
		w.run(t.Context())
		target.Fail(errors.New("not readable"))
		if err := <-w.result; err == nil || !strings.Contains(err.Error(), "session.keys: not readable") {
			t.Errorf("error %v", err)
		}
		w.want("calls", w.events(), started+" "+drains+" "+closes)
		if c, _ := w.health.Snapshot().Check("session.keys"); c.Status != health.Failed {
			t.Errorf("health says %+v", c)
		}
	})
}

// A service that breaks while serving takes the drain path, lame duck included.
func TestFailureWhileServing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.serving()
		sentinel := errors.New("watch closed")
		w.m.Failed("b", sentinel)
		if err := w.m.Undo(); err != ErrCannotUndo {
			t.Errorf("undo: %v, want ErrCannotUndo", err)
		}
		if err := <-w.result; !errors.Is(err, sentinel) || !strings.Contains(err.Error(), "run b: watch closed") {
			t.Errorf("error %v", err)
		}
		w.want("calls", w.events(), ducks+" "+drains+" "+closes)
		w.want("transitions", w.transitions(), "Starting => Serving, Serving => LameDuck, LameDuck => Draining, Draining => Failed")
	})
}

func TestErrorsAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		one, two := errors.New("one"), errors.New("two")
		w.services["c"].drain = func(context.Context) error { return one }
		w.services["a"].close = func() error { return two }
		w.serving()
		w.term()
		err := <-w.result
		if !errors.Is(err, one) || !errors.Is(err, two) || w.m.State() != Failed {
			t.Errorf("state %v, error %v", w.m.State(), err)
		}
		w.want("calls", w.events(), ducks+" "+drains+" "+closes)
	})
}

// SIGTERM while a service starts: its context is cancelled, what started is stopped,
// and nothing is an error.
func TestSignalWhileStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.services["b"].start = func(ctx context.Context) error {
			<-ctx.Done()
			return errors.New("bind: interrupted")
		}
		w.run(t.Context())
		w.term()
		if err := <-w.result; err != nil {
			t.Error(err)
		}
		w.want("calls", w.events(), "a.start b.start a.drain a.close")
		w.want("transitions", w.transitions(), "Starting => Draining, Draining => Stopped")
	})
}

// It may come up all the same, and is then drained and closed like the others.
func TestServiceThatStartsAlthoughToldToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.services["b"].start = func(ctx context.Context) error { <-ctx.Done(); return nil }
		w.run(t.Context())
		w.term()
		if err := <-w.result; err != nil {
			t.Error(err)
		}
		w.want("calls", w.events(), "a.start b.start b.drain a.drain b.close a.close")
	})
}

func TestSignalWhileWaitingForTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		target := w.m.Target("policy.sync.initial")
		w.run(t.Context())
		w.term()
		target.Ready() // too late: never admitted
		if err := <-w.result; err != nil {
			t.Error(err)
		}
		w.want("calls", w.events(), started+" "+drains+" "+closes)
	})
}

func TestContextIsASignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		w.services["c"].drain = func(ctx context.Context) error { return ctx.Err() } // in-flight work lives on
		w.run(ctx)
		w.events()
		cancel()
		if err := <-w.result; err != nil {
			t.Error(err)
		}
		w.want("calls", w.events(), ducks+" "+drains+" "+closes)
	})
}

// The one that does not return is named and left behind; the others are still stopped.
func TestCulpritIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		never := make(chan struct{})
		w.services["b"].drain = func(context.Context) error { <-never; return nil }
		w.serving()
		w.term()
		err := <-w.result
		var stuck *StuckError
		if !errors.As(err, &stuck) || stuck.Service != "b" || stuck.Verb != VerbDrain {
			t.Fatalf("error %v", err)
		}
		w.want("calls", w.events(), ducks+" "+drains+" "+closes)
		if got, want := time.Since(w.began), DefaultLameDuckMax+DefaultTimeout+DefaultGrace; got != want {
			t.Errorf("took %v, want %v", got, want)
		}
		close(never)
	})
}

// A drain that ends early leaves its time to whoever is slow to close: that is no failure. Who
// does not close at all is named when that time is over, too.
func TestCloseMayTakeWhatTheDrainLeft(t *testing.T) {
	for _, c := range []struct {
		takes time.Duration
		named bool
	}{{DefaultTimeout, false}, {time.Hour, true}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Config{Budget: time.Minute})
			done := make(chan struct{})
			w.services["b"].close = func() error { time.Sleep(c.takes); close(done); return nil }
			w.serving()
			w.term()
			err := <-w.result
			var stuck *StuckError
			if named := errors.As(err, &stuck) && stuck.Service == "b" && stuck.Verb == VerbClose; named != c.named || !named && err != nil {
				t.Errorf("a close that takes %v: %v", c.takes, err)
			}
			if got, most := time.Since(w.began), DefaultLameDuckMax+DefaultTimeout+DefaultGrace; got > most {
				t.Errorf("took %v, want %v at most", got, most)
			}
			<-done
		})
	}
}

// Whatever hangs, Run returns within the budget and says what was not done.
func TestBudgetBoundsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Budget: 26 * time.Second})
		never := make(chan struct{})
		hang := func(context.Context) error { <-never; return nil }
		for _, f := range w.services {
			f.drain, f.duck, f.close = hang, func() { <-never }, func() error { <-never; return nil }
		}
		w.serving()
		w.term()
		err := <-w.result
		if got := time.Since(w.began); got != 26*time.Second {
			t.Errorf("took %v, want 26s", got)
		}
		if err == nil || !strings.Contains(err.Error(), "budget of 26s used up before: drain a") {
			t.Errorf("error %v", err)
		}
		close(never)
	})
}

// The budget of the drain is one deadline for all.
func TestDrainDeadlineIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{LameDuckMin: -1, LameDuckMax: -1, Timeout: 8 * time.Second})
		var left []time.Duration
		for _, name := range []string{"a", "b", "c"} {
			w.services[name].drain = func(ctx context.Context) error {
				deadline, _ := ctx.Deadline()
				left = append(left, time.Until(deadline))
				time.Sleep(2500 * time.Millisecond)
				return nil
			}
		}
		w.serving()
		w.term()
		if err := <-w.result; err != nil {
			t.Error(err)
		}
		for i, want := range []time.Duration{8 * time.Second, 5500 * time.Millisecond, 3 * time.Second} {
			if left[i] != want {
				t.Errorf("drain %d had %v left, want %v", i, left[i], want)
			}
		}
		w.want("calls", w.events(), drains+" "+closes)
	})
}

func TestSignalsOfTheProcess(t *testing.T) {
	m := New(Config{})
	signals, release := m.listen()
	defer release()
	p, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(os.Interrupt); err != nil {
		t.Skip("this system does not send signals:", err)
	}
	if got := <-signals; got != os.Interrupt {
		t.Errorf("got %v", got)
	}
}
