package lifecycle

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A hand-over has none of the times of a lame duck: it lasts until somebody says how the
// successor does.
func TestHandOverIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Quiet: func(time.Time) (time.Duration, bool) { return time.Hour, true }})
		w.serving()
		if err := w.m.HandOver(time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.want("handed over", w.events(), ducks)
		time.Sleep(30 * time.Minute) // neither quiet nor max ends it, nor the budget
		w.want("on trial", w.transitions(), "Starting => Serving, Serving => LameDuck")
		for _, no := range []error{w.m.Undo(), w.m.Acknowledge()} {
			if !errors.Is(no, ErrHandedOver) {
				t.Errorf("undo or acknowledge: %v", no)
			}
		}
		w.m.Confirm()
		if err := <-w.result; err != nil {
			t.Error(err)
		}
		w.want("stop", w.events(), drains+" "+closes)
		if err := w.m.TakeBack(); !errors.Is(err, ErrTooLate) {
			t.Errorf("take back after the end: %v", err)
		}
	})
}

// Taking back is an undo, and the process can hand over again.
func TestHandOverIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.serving()
		for range 2 {
			if err := w.m.HandOver(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if err := w.m.TakeBack(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			w.want("taken back", w.events(), ducks+" "+admits)
		}
		time.Sleep(time.Hour) // nothing of the trial is left
		w.want("serving", w.transitions(), "Starting => Serving, Serving => LameDuck, LameDuck => Serving, Serving => LameDuck, LameDuck => Serving")
		w.m.Cut("the end")
		<-w.result
	})
}

// Who was told to stop meanwhile does not come back to serve: it drains.
func TestHandOverAndASignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.serving()
		if err := w.m.HandOver(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.term()
		synctest.Wait()
		if err := w.m.TakeBack(); err != nil {
			t.Fatal(err)
		}
		<-w.result
		w.want("stop", w.events(), ducks+" "+drains+" "+closes)
	})
}

// Only who serves hands over.
func TestHandOverOfNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		target := w.m.Target("policy")
		w.run(t.Context())
		synctest.Wait()
		if err := w.m.HandOver(time.Now().Add(time.Minute)); !errors.Is(err, ErrNotServing) {
			t.Errorf("while starting: %v", err)
		}
		target.Ready()
		synctest.Wait()
		w.term()
		synctest.Wait()
		if err := w.m.HandOver(time.Now().Add(time.Minute)); !errors.Is(err, ErrNotServing) {
			t.Errorf("in the lame duck: %v", err)
		}
		<-w.result
	})
}

// A stop that began a moment before the successor took the sockets: nothing is to be
// undone any more, or two would serve.
func TestHandOverDuringAStopDrains(t *testing.T) {
	for name, stop := range map[string]func(*driver){
		"lame duck": func(d *driver) { _ = d.m.RequestDrain(d.now, false) },
		"undone":    func(d *driver) { _ = d.m.RequestDrain(d.now, false); _ = d.m.Undo(d.now) },
	} {
		d := newDriver(t, Config{}, []string{"a"}, nil)
		d.begin()
		for len(d.calls) > 0 {
			d.back(0, nil)
		}
		stop(d)
		if err := d.m.HandOver(d.now, d.now.Add(time.Second)); err != ErrNotServing {
			t.Errorf("%s: hand over: %v", name, err)
		}
		if err := d.m.Undo(d.now); err != ErrTooLate || d.m.State() != Draining {
			t.Errorf("%s: undo afterwards: %v in %v", name, err, d.m.State())
		}
	}
}
