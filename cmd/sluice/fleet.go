package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/internal/fleet"
	"github.com/sluiceproxy/sluice/lifecycle"
)

// fleetMember registers the process in its fleet and waits for turns. It is a service of package lifecycle by its shape:
// early in, late out, for it tells how everything else ended.
type fleetMember struct {
	app    *app
	member *fleet.Member

	cancel context.CancelFunc
	done   sync.WaitGroup

	turns sync.Mutex // held by who waits for a turn

	seen atomic.Pointer[seenFleet] // nil: the others were not looked at

	mu        sync.Mutex // guards what follows
	upgrading upgradeTurn
}

// Times of a fleetMember.
const (
	fleetFacts = time.Second            // between two looks at what changed without a word
	fleetLeave = 800 * time.Millisecond // for the last words: less than the grace of a Close
)

// wireFleet makes the member, if the configuration has a fleet.
func (a *app) wireFleet() {
	if !a.cfg.Fleet.Enabled {
		return
	}
	host, _ := os.Hostname()
	f := &fleetMember{app: a}
	f.member = fleet.New(fleet.Config{
		Store: a.shared.Fleet(), ID: a.cfg.ReplicaID(), TTL: a.cfg.Fleet.TTL, Budget: a.cfg.FleetBudget(),
		Self: fleet.Replica{Host: host, PID: os.Getpid(), Generation: a.hand.generation, Started: a.started, Binary: buildVersion().Version},
		Last: lastAccount(a.leftReceipt()), Log: a.log.With("component", "fleet"), Changed: f.report,
	})
	f.member.Retire(a.hand.given.Offer != nil) // until it takes over, the ID is its predecessor's
	a.registry.Declare(health.FleetPresence, health.Degradable)
	a.registry.Set(health.FleetPresence, health.Starting, nil)
	a.fleet = f
	a.manager.Register(f)
}

// lastAccount is what the receipt that the life before this one left on disk says; nil: there is none.
func lastAccount(r *drain.Receipt) *fleet.Account {
	if r == nil {
		return nil
	}
	a := accountOf(*r)
	a.PID = r.Process.PID
	return &a
}

func accountOf(r drain.Receipt) fleet.Account {
	return fleet.Account{Ended: r.EndedAt(), Lost: lostBy(r), Text: r.String()}
}

// lostBy counts what a drain lost.
func lostBy(r drain.Receipt) int {
	return r.CutTotal + r.StuckTotal + int(r.Exchanges.Interrupted) + int(r.ActualLoss)
}

func (f *fleetMember) Name() string { return "fleet" }

// Start begins to register, and waits for nobody: a start does not depend on the store.
func (f *fleetMember) Start(context.Context) error {
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	f.done.Go(func() { f.member.Run(ctx) }) // ends with Close
	f.done.Go(func() { f.follow(ctx) })     // ends with Close
	f.done.Go(func() { f.lookAround(ctx) }) // ends with Close
	return nil
}

// follow tells the member what changed.
func (f *fleetMember) follow(ctx context.Context) {
	tick := time.NewTicker(fleetFacts)
	defer tick.Stop()
	for {
		_, changed := f.app.manager.Watch()
		f.member.Tell(f.facts())
		f.report()
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// facts is what is so now.
func (f *fleetMember) facts() fleet.Facts {
	a := f.app
	state := a.manager.State()
	policy, open := a.policyVersion(), a.tracker.Stats().Connections
	facts := fleet.Facts{State: state.Label(), Ready: a.registry.Snapshot().Verdict(health.Ready).OK, Leaving: f.leaving(state), Admin: a.private.Place(),
		Policy:    fleet.Policy{Number: policy.Number, Hash: policy.Hash, Ordered: policy.Ordered},
		Stale:     a.syncer != nil && a.syncer.Status().Freshness.Stale(),
		Exchanges: open.Active + open.Tunnel, Connections: open.Total()}
	if a.sessions != nil {
		facts.KeyRing = a.sessions.keeper.Ring().Status().Hash
	}
	return facts
}

// leaving reports whether the process counts as away. One that has drained and stays gives its turn back.
func (f *fleetMember) leaving(s lifecycle.State) bool {
	switch s {
	case lifecycle.LameDuck, lifecycle.Draining, lifecycle.Stopped, lifecycle.Failed:
		return true
	case lifecycle.Starting, lifecycle.Serving, lifecycle.Drained:
	}
	return f.upgradeRuns()
}

// report puts the member into health: what is wrong there never makes the process unready.
func (f *fleetMember) report() {
	s := f.member.Status()
	attrs := []health.Attr{{Key: "id", Value: s.ID}, {Key: "budget", Value: s.Budget}}
	switch {
	case s.Error != "":
		f.app.registry.Set(health.FleetPresence, health.Degraded, errors.New(s.Error), attrs...)
	case s.Answered.IsZero():
		f.app.registry.Set(health.FleetPresence, health.Starting, nil, attrs...)
	default:
		f.app.registry.Set(health.FleetPresence, health.Running, nil, attrs...)
	}
}

// stopTurn waits for the turn of a stop. An upgrade that waits for its own gives way.
func (f *fleetMember) stopTurn(ctx context.Context) lifecycle.TurnEnd {
	f.giveUpUpgrade("this process was told to stop")
	f.turns.Lock()
	defer f.turns.Unlock()
	f.app.hand.upgrader.Abandon("this process was told to stop") // as at once as without a fleet: a successor that becomes ready meanwhile would undo the stop
	f.member.Tell(f.facts())
	if f.member.Turn(ctx, "stop") == fleet.OutcomeGiven {
		return lifecycle.TurnGiven
	}
	return lifecycle.TurnStoreAway // if ctx is done, nobody listens
}

func (f *fleetMember) Admit() error                { return nil }
func (f *fleetMember) LameDuck()                   {}
func (f *fleetMember) Drain(context.Context) error { return nil }

// Close leaves word how the process ended.
func (f *fleetMember) Close() error {
	f.giveUpUpgrade("this process ends")
	f.cancel()
	f.done.Wait()
	account := fleet.Account{Ended: time.Now(), Text: "nothing was drained"}
	if r := f.app.server.Receipt(); r.Schema != 0 {
		account = accountOf(r)
	}
	account.Failed = f.app.manager.Status().Failed
	ctx, cancel := context.WithTimeout(context.Background(), fleetLeave)
	defer cancel()
	if err := f.member.Leave(ctx, account); err != nil {
		f.app.log.Warn("the fleet does not know how this process ended; its lease will tell that it is gone", "err", err)
	}
	return nil
}

// fleetStatus is how this process stands with its fleet; nil: it is one of none.
func (a *app) fleetStatus() *fleet.Status {
	if a.fleet == nil {
		return nil
	}
	s := a.fleet.member.Status()
	return &s
}

// turnTaken is the wait for a turn as the receipt tells of it; nil: there was none.
func turnTaken(t lifecycle.Turn, budget string) *drain.Turn {
	if t.Asked.IsZero() || t.Ended.IsZero() || t.By == lifecycle.TurnUndone {
		return nil
	}
	return &drain.Turn{Asked: t.Asked, WaitedMS: t.Ended.Sub(t.Asked).Milliseconds(), EndedBy: t.By.String(), Budget: budget, Skipped: t.By.Skipped()}
}

// fleetLine is how a process stands with its fleet, for people.
func fleetLine(s fleet.Status) string {
	line := fmt.Sprintf("%s, budget %s", s.ID, s.Budget)
	switch {
	case s.Error != "":
		line += ", the store does not answer since " + s.Since.Format(time.DateTime)
	case !s.Registered:
		line += ", not registered"
	}
	if s.Waiting {
		line += fmt.Sprintf(", waits for its turn, %d before it", s.Before)
	}
	return line
}

// forecast is the tracker's, with what comes before the drain.
func (a *app) forecast(budgets []time.Duration) drain.Forecast {
	f := a.tracker.Forecast(budgets)
	if a.fleet != nil {
		f.Before = turnText(a.fleetStatus(), a.cfg.Fleet.BudgetWait)
	}
	return f
}

// turnText is a line about the wait for a turn that a stop would begin with, or "".
func turnText(s *fleet.Status, wait time.Duration) string {
	if s == nil || wait <= 0 {
		return ""
	}
	state := "its store answers"
	if s.Error != "" {
		state = "its store does not answer, so it will go without after " + fleet.AwayAfter.String()
	}
	return fmt.Sprintf("before that it waits, ready and serving, up to %s for its turn in the fleet (budget %s; %s)", wait, s.Budget, state)
}
