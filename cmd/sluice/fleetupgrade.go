package main

import (
	"context"
	"errors"
	"time"

	"github.com/sluiceproxy/sluice/internal/fleet"
	"github.com/sluiceproxy/sluice/lifecycle/handover"
)

// upgradeTurn is an upgrade in place that waits for its turn, or has it.
type upgradeTurn struct {
	cancel  context.CancelCauseFunc // of the wait; nil: none lasts
	holds   bool                    // it is away until the upgrade is over
	since   time.Time
	refused error // why the last one did not begin after its wait; nil: it began, or there was none
}

// beginUpgrade begins an upgrade when it is this process's turn, or its time to wait is over: an upgrade can wait for ever no
// more than a stop can.
func (f *fleetMember) beginUpgrade() error {
	f.mu.Lock()
	if f.upgrading.cancel != nil {
		f.mu.Unlock()
		return errors.New("an upgrade waits for its turn in the fleet already")
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	f.upgrading = upgradeTurn{cancel: cancel, since: time.Now()}
	f.mu.Unlock()
	f.done.Go(func() { f.waitForUpgrade(ctx) }) // ends with its time, with giveUpUpgrade, or with Close
	return nil
}

func (f *fleetMember) waitForUpgrade(ctx context.Context) {
	err := f.beginInTurn(ctx)
	if err != nil {
		f.app.log.Error("upgrade refused", "err", err)
	}
	f.mu.Lock()
	f.upgrading = upgradeTurn{holds: err == nil, since: time.Now(), refused: err}
	f.mu.Unlock()
	f.member.Tell(f.facts())
}

// beginInTurn waits and begins. A stop waits for the lock and then abandons what began, so that nothing begins behind its back.
func (f *fleetMember) beginInTurn(ctx context.Context) error {
	f.turns.Lock()
	defer f.turns.Unlock()
	if err := f.app.stays(); err != nil { // a stop was before us at the lock: the claim is its
		return err
	}
	wait, cancel := context.WithTimeout(ctx, f.app.cfg.Fleet.BudgetWait)
	outcome := f.member.Turn(wait, "upgrade")
	cancel()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := f.app.stays(); err != nil { // as it was when this began to wait
		return err
	}
	if outcome != fleet.OutcomeGiven {
		f.app.log.Warn("upgrading WITHOUT a turn in the fleet: more of it may be away at once than fleet.budget says", "by", string(outcome))
	}
	return f.app.hand.upgrader.Begin()
}

// giveUpUpgrade ends the wait of an upgrade, if one waits.
func (f *fleetMember) giveUpUpgrade(why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.upgrading.cancel != nil {
		f.upgrading.cancel(errors.New(why))
	}
}

// upgradeRuns reports whether an upgrade has its turn and is not over.
func (f *fleetMember) upgradeRuns() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.upgrading.holds && !f.app.hand.upgrader.Progress().Result.Final()
}

// upgraded is how an upgrade goes that did not begin yet, or was refused after its wait; false: the upgrader knows.
func (f *fleetMember) upgraded() (p handover.Progress, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p = handover.Progress{Generation: f.app.hand.generation + 1, Since: f.upgrading.since}
	switch {
	case f.upgrading.cancel != nil:
		p.Reason = "it waits for its turn in the fleet"
		return p, true
	case f.upgrading.refused != nil:
		p.Result, p.Reason = handover.Refused, f.upgrading.refused.Error()
		return p, true
	}
	return p, false
}
