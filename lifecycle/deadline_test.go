package lifecycle

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// mover is a fake that says what it was told.
type mover struct{ *fake }

func (m mover) DeadlineMoved(at time.Time) {
	m.w.note(m.name + ".moved:" + at.Sub(m.w.began).String())
}

// drainsUntil is a Drain that waits for its context and notes when that ended, and what its
// deadline was then.
func (w *world) drainsUntil(ended *time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		*ended = time.Since(w.began)
		if at, ok := ctx.Deadline(); !ok || at.Sub(w.began) != *ended {
			w.t.Errorf("its deadline is %v, and it ended after %v", at.Sub(w.began), *ended)
		}
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			w.t.Errorf("it ended by %v", ctx.Err())
		}
		return nil
	}
}

// moving is a world whose first service to drain takes all the time there is, without a lame duck.
func moving(t *testing.T, cfg Config) (w *world, ended *time.Duration) {
	cfg.LameDuckMin, cfg.LameDuckMax = -1, -1
	w = newWorld(t, cfg)
	ended = new(time.Duration)
	w.services["c"].drain = w.drainsUntil(ended)
	w.m.services["c"] = mover{w.services["c"]}
	w.serving()
	w.began = time.Now()
	return w, ended
}

func TestMoveDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ended := moving(t, Config{Timeout: 10 * time.Second, Budget: 30 * time.Second})
		if err := w.m.MoveDeadline(time.Now().Add(time.Second)); !errors.Is(err, ErrNotDraining) {
			t.Errorf("serving: %v", err)
		}
		w.term()
		synctest.Wait()
		w.events()
		if err := w.m.MoveDeadline(w.began.Add(8 * time.Second)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		var beyond *BeyondBudgetError
		if err := w.m.MoveDeadline(w.began.Add(26 * time.Second)); !errors.As(err, &beyond) || beyond.Latest != 24*time.Second {
			t.Errorf("past what the platform allows: %v", err)
		}
		if err := w.m.MoveDeadline(w.began.Add(9 * time.Second)); err != nil {
			t.Fatal(err)
		}
		w.want("calls", w.events(), "c.moved:8s c.moved:9s")
		if err := <-w.result; err != nil || *ended != 9*time.Second {
			t.Errorf("%v; the drain ended after %v, want 9s", err, *ended)
		}
		if err := w.m.MoveDeadline(time.Now().Add(time.Second)); !errors.Is(err, ErrDeadlineOver) {
			t.Errorf("over: %v", err)
		}
	})
}

// Nobody kills a process that was asked to drain by API: its deadline moves freely, until
// a signal comes, which starts the clock of the platform.
func TestMoveDeadlineOfADrainByAPI(t *testing.T) {
	for name, c := range map[string]struct {
		signalAt, want time.Duration
	}{
		"and no signal":            {0, 5 * time.Minute},
		"a signal takes time back": {time.Minute, time.Minute + 25*time.Second},
		"a signal near the end":    {5*time.Minute - time.Second, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, ended := moving(t, Config{Timeout: 10 * time.Second, Budget: 30 * time.Second})
				if err := w.m.RequestDrain(false); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if err := w.m.MoveDeadline(w.began.Add(5 * time.Minute)); err != nil {
					t.Fatal(err)
				}
				if c.signalAt > 0 {
					time.Sleep(c.signalAt)
					w.term()
				}
				if err := <-w.result; err != nil || *ended != c.want {
					t.Errorf("%v; the drain ended after %v, want %v", err, *ended, c.want)
				}
			})
		})
	}
}

// A deadline that has passed cuts at once.
func TestMoveDeadlineIntoThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ended := moving(t, Config{Timeout: 10 * time.Second})
		w.term()
		time.Sleep(2 * time.Second)
		if err := w.m.MoveDeadline(w.began); err != nil {
			t.Fatal(err)
		}
		if err := <-w.result; err != nil || *ended != 2*time.Second {
			t.Errorf("%v; the drain ended after %v, want 2s", err, *ended)
		}
	})
}
