package main

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/authz/policysync"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/lifecycle/handover"
)

// Names of the sockets that are no listeners of the configuration, which cannot take them.
const (
	probesSocket = "probes"
	adminSocket  = "admin"
)

// maxDraining is how many generations may drain at a time; for one more, the oldest is cut.
const maxDraining = 3

// origin is how this process came to be, and how its successor will. The zero value is a
// process that nobody handed anything and that hands over to nobody.
type origin struct {
	given   *handover.Given
	command handover.Command
}

// handing is the part of app that passes the door on.
type handing struct {
	origin
	generation  int // 1, and one more with each upgrade
	doors       *handover.Doors
	voice       *handover.Voice
	memory      *memory
	upgrader    *handover.Upgrader
	control     *admin.Control
	generations *admin.Generations

	// Written by the Start of their services, and read only after READY.
	gates map[string]*handover.Gate
}

// wireDoors comes first: everybody else takes sockets from the doors.
func (a *app) wireDoors(o origin) {
	if o.given == nil {
		o.given = &handover.Given{}
	}
	h := &a.hand
	*h = handing{origin: o, generation: 1, doors: handover.NewDoors(o.given), gates: map[string]*handover.Gate{}, memory: newMemory()}
	var members []handover.Member
	if offer := o.given.Offer; offer != nil {
		h.generation, members = offer.Generation, offer.Members
	}
	h.voice = handover.NewVoice(o.given, a.report)
	h.generations = admin.NewGenerations(members, func(left int) { h.memory.share(left + 1) }, a.log)
	h.memory.share(len(members) + 1)
}

// wireUpgrade comes last: its services start when every socket was claimed, and drain
// first.
func (a *app) wireUpgrade() {
	t := &takeover{app: a}
	if a.hand.given.Offer != nil {
		t.target = a.manager.Target("upgrade.policy")
	}
	a.manager.Register(t)
	a.hand.upgrader = handover.New(handover.Config{
		Times:   handover.Times{Ready: a.cfg.Upgrade.ReadyTimeout, TakeBack: a.cfg.Upgrade.TakeBack, Stop: a.cfg.Platform.StopTimeout, Silence: handover.Silence},
		Command: a.hand.command, Doors: a.hand.doors, Generation: a.hand.generation, Log: a.log,
		Members: func() []handover.Member {
			return append(a.hand.generations.Draining(), a.hand.control.Member())
		},
		Supervisor: a.hand.given.Supervisor(),
		Hooks: handover.Hooks{
			Policy: a.policyVersion, Refresh: a.refreshPolicy, Yield: a.yieldAdmin, Leave: a.leave, Confirm: a.confirm,
			TakeBack: a.takeBack, Share: a.hand.memory.share,
			Evict: func() { a.hand.generations.Evict(context.Background(), maxDraining-1) },
		},
	})
	a.manager.Register(a.hand.upgrader)
}

// openAdmin returns where the probes or the private listener get their socket. A
// predecessor answers there until it says that we do.
func (a *app) openAdmin(name, address string, bind func(context.Context) (net.Listener, error)) func(context.Context) (net.Listener, error) {
	return func(ctx context.Context) (net.Listener, error) {
		ln, inherited, err := a.hand.doors.Open(ctx, name, address, bind)
		if err != nil {
			return nil, err
		}
		gate := a.hand.doors.NewGate(name, ln)
		if inherited && a.hand.given.Offer != nil {
			gate.Shut()
		}
		a.hand.gates[name] = gate
		return gate, nil
	}
}

// upgrade begins an upgrade, if this is the moment for it.
func (a *app) upgrade() error {
	if a.hand.command.Path == "" {
		return errors.ErrUnsupported
	}
	if l := a.hand.given.Link; l != nil {
		select {
		case <-l.Alone():
		default:
			return errors.New("the upgrade that started this process is on trial still (upgrade.take_back): wait until it is over")
		}
	}
	if err := a.stays(); err != nil {
		return err
	}
	if a.fleet != nil && a.cfg.Fleet.BudgetWait > 0 && os.Getpid() != 1 {
		return a.fleet.beginUpgrade()
	}
	return a.hand.upgrader.Begin()
}

// stays refuses an upgrade of a process that is about to go.
func (a *app) stays() error {
	if os.Getpid() != 1 && a.manager.State() != lifecycle.Serving {
		return errors.New("only a process that serves can be upgraded; this one is " + a.manager.State().Label())
	}
	if a.manager.Status().Turn.Waits() {
		return errors.New("this process was told to stop, and waits for its turn in the fleet")
	}
	return nil
}

// upgradeSignalled is upgrade for a signal, which nobody answers.
func (a *app) upgradeSignalled() {
	a.log.Info("upgrade", "signal", "SIGUSR2")
	if err := a.upgrade(); err != nil {
		a.log.Error("upgrade refused", "err", err)
	}
}

// upgraded is how the latest upgrade goes: the one from here, or the one that led here.
func (a *app) upgraded() handover.Progress {
	if a.fleet != nil {
		if p, ok := a.fleet.upgraded(); ok {
			return p
		}
	}
	p := a.hand.upgrader.Progress()
	l := a.hand.given.Link
	if p.Result != handover.None || l == nil {
		return p
	}
	p = handover.Progress{Generation: a.hand.generation, PID: os.Getpid(), Since: a.started, Result: handover.Underway, Admin: a.private.Place()}
	select {
	case <-l.Alone():
		p.Result = handover.Succeeded
	default:
		select {
		case <-l.Switched():
			p.Result = handover.Switched
		default:
		}
	}
	return p
}

// policyVersion is the policy in force, as a predecessor or a successor compares it.
func (a *app) policyVersion() handover.Version {
	if a.syncer == nil {
		return handover.Version{Source: "--public", Hash: a.server.Version()}
	}
	s := a.syncer.Status()
	v := handover.Version{Source: s.Source, LastGood: s.LastGood, Ordered: s.Ordered, Published: s.Published}
	if s.Version != (policysync.Version{}) {
		v.Number, v.Hash = s.Version.Number, s.Version.Hash
	}
	if s.Rejected != nil {
		v.Rejected = s.Rejected.Version.Hash
	}
	return v
}

// refreshTime bounds a look at our own source, when a successor has another policy.
const refreshTime = 5 * time.Second

func (a *app) refreshPolicy(ctx context.Context) {
	if a.syncer == nil {
		return
	}
	go func() { // ends within refreshTime; what it finds shows in policyVersion
		ctx, cancel := context.WithTimeout(ctx, refreshTime)
		defer cancel()
		_ = a.syncer.Reload(ctx) // it says itself what is wrong
	}()
}

// yieldAdmin leaves probes and the private listener to the successor.
func (a *app) yieldAdmin() {
	if a.fleet != nil {
		a.fleet.member.Retire(true) // the ID is the successor's
	}
	if a.hand.doors.Taken(probesSocket) {
		a.hand.gates[probesSocket].Shut()
		a.probes.Yield()
	}
	if a.hand.doors.Taken(adminSocket) {
		a.hand.gates[adminSocket].Shut()
		a.private.Yield()
	}
}

// leave stops accepting traffic.
func (a *app) leave(until time.Time) {
	if err := a.manager.HandOver(until.Add(time.Second)); err != nil {
		a.log.Warn("a stop began at the same time: the successor is on its own at once", "err", err)
	}
}

// confirm goes on as a generation that drains.
func (a *app) confirm(pid int) {
	for name, gate := range a.hand.gates {
		if a.hand.doors.Taken(name) {
			gate.Close() // the path of a unix socket stays: it is the successor's
		}
	}
	if err := a.hand.voice.HandTo(pid); err != nil {
		a.log.Error("systemd does not know the new main process", "pid", pid, "err", err)
	}
	a.manager.Confirm()
}

// servingAgain bounds how long probes wait for the services to admit again.
const servingAgain = 2 * time.Second

// kept says that the predecessor serves again, though this process has taken over: it goes,
// and no probe is answered by who goes.
func (a *app) kept() {
	a.probes.Yield()
	a.private.Yield()
	for _, gate := range a.hand.gates {
		gate.Shut()
	}
}

// takeBack serves again, and only then answers probes.
func (a *app) takeBack() {
	if a.fleet != nil {
		a.fleet.member.Retire(false)
	}
	if err := a.manager.TakeBack(); err != nil {
		a.log.Error("nothing could be taken back: this process was told to stop", "err", err)
	}
	late := time.NewTimer(servingAgain)
	defer late.Stop()
	for waiting := true; waiting; {
		_, changed := a.manager.Watch() // before the look: an edge after it closes the channel
		if a.registry.Snapshot().Process.State != health.ProcessLameDuck {
			break // what probes are told, which comes after the state of the manager
		}
		select {
		case <-changed:
		case <-late.C:
			waiting = false
		}
	}
	a.probes.Resume()
	a.private.Resume()
	for _, gate := range a.hand.gates {
		gate.Open()
	}
}

// report is what a successor says of itself.
func (a *app) report() handover.Report {
	st := a.manager.Status()
	r := handover.Report{Taken: a.hand.doors.Inherited(), Policy: a.policyVersion(), Steady: true, Admin: a.private.Place()}
	var waiting []string
	for _, u := range st.Unready {
		if u.Name != "upgrade.policy" {
			waiting = append(waiting, u.String())
		}
	}
	r.Waiting = strings.Join(waiting, "; ")
	if st.State >= lifecycle.LameDuck {
		r.Stopping, r.Failed, r.Reason = true, st.Failed, st.Reason
	}
	return r
}

// final waits for the account of the drain.
func (a *app) final(ctx context.Context) (drain.Receipt, bool) {
	select {
	case <-a.tracker.Drained():
		return a.described(a.tracker.Receipt()), true
	case <-ctx.Done():
		return drain.Receipt{}, false
	}
}
