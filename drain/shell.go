package drain

import (
	"context"
	"time"
)

// Drain waits until everything in flight is gone and returns the account of it. It is
// a thin shell around BeginDrain and Step. The deadline of ctx is the budget (none:
// Timeout); slightly before it what is left is cut. Cancelling ctx cuts at once. In
// both cases Drain returns within Settle after the cut.
//
// Call it after the accept loops were joined (invariant 2). A second call, or a
// concurrent one, waits for the same drain under its first deadline.
func (t *Tracker) Drain(ctx context.Context) Receipt {
	deadline, _ := ctx.Deadline()
	t.BeginDrain(t.cfg.Now(), deadline)
	if moved, ok := ctx.Deadline(); ok && !moved.Equal(deadline) {
		// A context whose deadline moves, and it did before MoveDeadline could see a drain.
		t.MoveDeadline(t.cfg.Now(), moved)
	}

	timer := time.NewTimer(0)
	defer timer.Stop()
	cancelled := ctx.Done()
	for {
		next, done := t.Step(t.cfg.Now())
		if done {
			return t.Receipt()
		}
		var due <-chan time.Time // nil, and so never ready, if nothing is due
		if !next.IsZero() {
			timer.Reset(next.Sub(t.cfg.Now()))
			due = timer.C
		}
		select {
		case <-t.drained:
		case <-due:
		case <-t.nudged:
		case <-cancelled:
			cancelled = nil // once
			t.Cut(t.cfg.Now())
		}
	}
}
