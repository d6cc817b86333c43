package lifecycle

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// waiting is a world that serves and asks for its turn: answer ends the wait.
func waiting(t *testing.T) (w *world, answer chan TurnEnd) {
	answer = make(chan TurnEnd, 1)
	w = newWorld(t, Config{TurnWait: 8 * time.Second, Turn: func(ctx context.Context) TurnEnd {
		w.note("asks")
		select {
		case by := <-answer:
			return by
		case <-ctx.Done():
			w.note("asks no more")
			return TurnNone
		}
	}})
	w.serving()
	return w, answer
}

// Told to stop, it stays ready until its turn has come, and only then says that it leaves.
func TestAStopWaitsForItsTurnAndServesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, answer := waiting(t)
		w.term()
		time.Sleep(3 * time.Second)
		w.want("while it waits", w.events(), "asks")
		if s := w.m.Status(); s.State != Serving || !s.Turn.Waits() || s.NextSignal != "ends the wait for its turn" {
			t.Errorf("status %+v", s)
		}
		answer <- TurnGiven
		w.want("then", w.events(), "a.duck b.duck c.duck")
		if err := <-w.result; err != nil {
			t.Error(err)
		}
		if s := w.m.Status(); s.Turn.By != TurnGiven || s.Turn.Ended.Sub(s.Turn.Asked) != 3*time.Second {
			t.Errorf("turn %+v", s.Turn)
		}
	})
}

// What ends a wait without a turn, and after how long.
func TestAStopGoesOnWithoutATurn(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(*world, chan TurnEnd)
		by    TurnEnd
		after time.Duration
		fails bool
	}{
		"deadline":   {func(*world, chan TurnEnd) {}, TurnDeadline, 8 * time.Second, false},
		"store away": {func(_ *world, a chan TurnEnd) { a <- TurnStoreAway }, TurnStoreAway, time.Second, false},
		"signal":     {func(w *world, _ chan TurnEnd) { w.term() }, TurnSignal, time.Second, false},
		"failure":    {func(w *world, _ chan TurnEnd) { w.m.Failed("b", errors.New("broke")) }, TurnFailed, time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, answer := waiting(t)
				w.term()
				time.Sleep(time.Second)
				c.do(w, answer)
				err := <-w.result
				if (err != nil) != c.fails {
					t.Errorf("ended with %v", err)
				}
				turn := w.m.Status().Turn
				if turn.By != c.by || turn.Ended.Sub(turn.Asked) != c.after || !turn.By.Skipped() {
					t.Errorf("turn %+v, want %v after %v", turn, c.by, c.after)
				}
				// One more signal ends the wait and no more: the lame duck is there.
				if got := w.m.Transitions()[1].String(); got != "Serving => LameDuck" {
					t.Errorf("then %s", got)
				}
			})
		})
	}
}

// An undo while it waits leaves everything as it was, and the next stop waits again.
func TestAWaitForATurnIsUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, answer := waiting(t)
		if err := w.m.RequestDrain(true); err != nil {
			t.Fatal(err)
		}
		w.want("asked by API", w.events(), "asks")
		if err := w.m.Undo(); err != nil {
			t.Fatal(err)
		}
		w.want("undone", w.events(), "asks no more")
		time.Sleep(time.Minute)
		if s := w.m.Status(); s.State != Serving || s.Turn.By != TurnUndone {
			t.Errorf("status %+v", s)
		}
		answer <- TurnGiven
		w.term()
		if err := <-w.result; err != nil {
			t.Error(err)
		}
		if by := w.m.Status().Turn.By; by != TurnGiven {
			t.Errorf("turn ended by %v", by)
		}
	})
}

// The platform's clock runs from the signal: the wait is part of it, and the whole stop ends in time.
func TestTheWaitIsPartOfTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{TurnWait: 8 * time.Second, Budget: 33 * time.Second, Turn: func(ctx context.Context) TurnEnd {
			<-ctx.Done()
			return TurnNone
		}})
		w.services["b"].drain = func(context.Context) error { time.Sleep(time.Hour); return nil } // far too long
		w.serving()
		w.term()
		<-w.result
		if took := time.Since(w.began); took > 33*time.Second {
			t.Errorf("the stop took %v", took)
		}
		time.Sleep(time.Hour) // the call that was left behind returns
	})
	if err := (Config{TurnWait: 10 * time.Second, Budget: 30 * time.Second, Turn: func(context.Context) TurnEnd { return TurnGiven }}).Validate(); err == nil {
		t.Error("10 s + 10 s + 15 s fit into 30 s")
	}
}
