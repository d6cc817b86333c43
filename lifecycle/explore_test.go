package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// clone is a copy of a driver and its machine, as they are between two events. What does
// not decide what happens next, the log of edges, is left behind.
func (d *driver) clone() *driver {
	n, m := *d, *d.m
	n.m = &m
	n.calls = slices.Clone(d.calls)
	n.open = maps.Clone(d.open)
	members := map[*member]*member{}
	m.services, m.targets = nil, nil
	for _, s := range d.m.services {
		c := *s
		members[s] = &c
		m.services = append(m.services, &c)
	}
	for _, t := range d.m.targets {
		c := *t
		m.targets = append(m.targets, &c)
	}
	m.plan = slices.Clone(d.m.plan)
	for i := range m.plan {
		m.plan[i].service = members[m.plan[i].service]
	}
	if d.m.out != nil {
		c := *d.m.out
		c.service = members[c.service]
		m.out = &c
	}
	m.held, m.errs, m.log = slices.Clone(d.m.held), slices.Clone(d.m.errs), nil
	return &n
}

// key is all that decides what can happen next, with times as they are seen from now.
func (d *driver) key() string {
	var b strings.Builder
	m := d.m
	at := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return max(t.Sub(d.now), -time.Second).String() // how long ago something was due does not matter
	}
	fmt.Fprint(&b, m.at, m.state, d.ready, d.undone, d.served, m.signals, m.park, m.acked, m.handed, m.asked != "", len(m.errs) > 0, len(m.held))
	for _, s := range m.services {
		fmt.Fprint(&b, s.started, d.open[s.name])
	}
	for _, t := range m.targets {
		fmt.Fprint(&b, t.ready)
	}
	if m.out != nil {
		fmt.Fprint(&b, m.out.verb, m.out.service.name, at(m.out.giveUp))
	}
	for _, c := range m.plan {
		fmt.Fprint(&b, c.verb, c.service.name)
	}
	fmt.Fprint(&b, len(d.calls))
	if m.at == stageLameDuck {
		fmt.Fprint(&b, at(m.since.Add(m.cfg.LameDuckMin)), at(m.lameDuckBy))
	}
	if m.at == stageTurn {
		fmt.Fprint(&b, at(m.turn.Until))
	}
	if m.signals > 0 {
		fmt.Fprint(&b, d.now.Sub(m.lastSignal) < repeatWithin)
	}
	if m.at == stageDraining {
		fmt.Fprint(&b, at(m.drainBy))
	}
	fmt.Fprint(&b, at(m.budgetBy), at(m.killAt))
	return b.String()
}

// moves are the events that can come next, each with a name.
func (d *driver) moves() map[string]func(*driver) {
	broken := errors.New("broken")
	all := map[string]func(*driver){
		"SIGTERM": func(d *driver) {
			serving := d.m.at == stageServing
			d.m.Signal(d.now, Terminate)
			if right := d.m.State() == LameDuck && d.m.cfg.TurnWait == 0 || d.m.at == stageTurn && d.m.cfg.TurnWait > 0; serving && !right {
				d.t.Fatalf("the first signal led to %v", d.m.State())
			}
		},
		"drain":   func(d *driver) { _ = d.m.RequestDrain(d.now, false) },
		"park":    func(d *driver) { _ = d.m.RequestDrain(d.now, true) },
		"a broke": func(d *driver) { d.m.ServiceFailed(d.now, "a", broken) },
		"ack": func(d *driver) {
			if err := d.m.Acknowledge(d.now); err == nil && d.m.State() == LameDuck {
				d.t.Fatal("acknowledged, and still a lame duck")
			}
		},
		"hand over":    func(d *driver) { _ = d.m.HandOver(d.now, d.now.Add(2*time.Second)) },
		"confirm":      func(d *driver) { d.m.Confirm(d.now) },
		"cut":          func(d *driver) { d.m.Cut(d.now, "evicted") },
		"deadline now": func(d *driver) { d.moveDeadline(0) },
		"deadline +2s": func(d *driver) {
			before, pending := d.m.drainBy, len(d.m.pending)
			d.moveDeadline(2 * time.Second)
			if out := d.m.out; d.m.drainBy != before && out != nil && out.verb == VerbDrain && len(d.m.pending) == pending {
				d.t.Fatal("the deadline moved, and the drain is told nothing")
			}
		},
		"turn given":    func(d *driver) { d.turn(TurnGiven) },
		"nobody to ask": func(d *driver) { d.turn(TurnStoreAway) },
		"undo": func(d *driver) {
			before := d.m.State()
			if err := d.m.Undo(d.now); err == nil && before == LameDuck {
				d.undone = true
			}
		},
		"take back": func(d *driver) {
			if err := d.m.TakeBack(d.now); err == nil {
				d.undone = true
			}
		},
		"1s": func(d *driver) { d.advance(time.Second) },
	}
	if !d.m.targets[0].ready {
		all["ready"] = func(d *driver) { d.m.TargetReady(d.now, "x") }
	}
	for i := range d.calls {
		all[fmt.Sprintf("call %d returns", i)] = func(d *driver) { d.back(i, nil) }
		all[fmt.Sprintf("call %d fails", i)] = func(d *driver) { d.back(i, broken) }
	}
	return all
}

// turn answers the wait that lasts, and one of before, which counts for nothing.
func (d *driver) turn(by TurnEnd) {
	at := d.m.at
	if d.m.TurnOver(d.now, d.m.turns-1, by); d.m.at != at {
		d.t.Fatalf("the answer to another question led from stage %d to %d", at, d.m.at)
	}
	if d.m.TurnOver(d.now, d.m.turns, by); at == stageTurn && d.m.State() == Serving {
		d.t.Fatal("it is its turn, and it serves on")
	}
}

// node is a state and how it was reached.
type node struct {
	d    *driver
	from *node
	by   string
}

func (n *node) path() (steps []string) {
	for ; n.from != nil; n = n.from {
		steps = append(steps, n.by)
	}
	slices.Reverse(steps)
	return steps
}

// found is a fault, as a panic: it ends an exploration.
type found string

type finder struct{}

func (finder) Fatal(args ...any)            { panic(found(fmt.Sprint(args...))) }
func (finder) Fatalf(f string, args ...any) { panic(found(fmt.Sprintf(f, args...))) }

type explored struct {
	seen   map[string]bool
	states map[State]int
	events int
}

// explore goes through all states that any order of events leads to, breadth first. In
// each it checks what driver checks at every action, that a stop has an end, and that
// whoever only steps the machine when it asks sees that end. A fault comes with the
// shortest way to it.
func explore(cfg Config) (e explored, fault error) {
	first := newDriver(finder{}, cfg, []string{"a", "b"}, []string{"x"})
	first.begin()
	e = explored{map[string]bool{first.key(): true}, map[State]int{}, 0}
	at, move := &node{d: first}, ""
	defer func() {
		if f, ok := recover().(found); ok {
			fault = fmt.Errorf("%s; after %q, %q", string(f), at.path(), move)
		}
	}()
	for queue := []*node{at}; len(queue) > 0; queue = queue[1:] {
		at = queue[0]
		e.states[at.d.m.State()]++
		move = "time passes"
		at.d.clone().mustEnd()
		moves := at.d.moves()
		for _, name := range slices.Sorted(maps.Keys(moves)) {
			move = name
			d := at.d.clone()
			moves[name](d)
			if !d.over {
				d.step()
			}
			e.events++
			if d.over {
				if (d.m.State() == Failed) != (d.m.Err() != nil) {
					d.t.Fatalf("over in %v with error %v", d.m.State(), d.m.Err())
				}
				e.states[d.m.State()]++
				continue
			}
			if k := d.key(); len(d.calls) <= 2 && !e.seen[k] { // two that hang are enough
				e.seen[k] = true
				queue = append(queue, &node{d, at, name})
			}
		}
		at.d = nil
	}
	return e, nil
}

// mustEnd lets time pass: a stop is over when its budget is.
func (d *driver) mustEnd() {
	switch d.m.at {
	case stageNew, stageStarting, stageWaiting, stageAdmitting, stageServing, stageReadmit, stageParked, stageOver:
	case stageTurn:
		began := d.now
		if d.advance(d.m.cfg.TurnWait); d.m.at == stageTurn {
			d.t.Fatalf("waits for a turn after all its time, since %v", began)
		}
		d.mustEnd()
	case stageLameDuck, stageDraining, stageClosing:
		if d.m.budgetBy.IsZero() || d.now.After(d.m.budgetBy) {
			d.t.Fatalf("%v without an end: now %v, budget until %v", d.m.State(), d.now, d.m.budgetBy)
		}
		if d.advance(d.m.budgetBy.Sub(d.now)); !d.over {
			d.t.Fatalf("%v, stage %d: not over when the budget is", d.m.State(), d.m.at)
		}
	}
}

// exploring has times of whole seconds.
func exploring() Config {
	return Config{LameDuckMin: time.Second, LameDuckMax: 2 * time.Second, LameDuckQuiet: -1,
		Timeout: 2 * time.Second, Grace: time.Second, Budget: 6 * time.Second, Closing: time.Second}
}

// inFleet is exploring, of one that asks for its turn.
func inFleet() Config {
	cfg := exploring()
	cfg.TurnWait, cfg.Budget = 2*time.Second, 8*time.Second
	cfg.Turn = func(context.Context) TurnEnd { panic("the machine calls nobody") }
	return cfg
}

func TestEveryStateOfTheMachineInAFleet(t *testing.T) {
	e, fault := explore(inFleet())
	if fault != nil {
		t.Fatal(fault)
	}
	t.Logf("%d states, %d events: %v", len(e.seen), e.events, e.states)
	cfg := inFleet()
	cfg.Faults.TurnForEver = true
	if _, fault := explore(cfg); fault == nil {
		t.Error("a wait for a turn that never ends is not found")
	}
}

func TestEveryStateOfTheMachine(t *testing.T) {
	e, fault := explore(exploring())
	if fault != nil {
		t.Fatal(fault)
	}
	t.Logf("%d states, %d events: %v", len(e.seen), e.events, e.states)
	for s := Starting; s <= Failed; s++ {
		if e.states[s] == 0 {
			t.Errorf("%v was never reached", s)
		}
	}
}

// Each rule that is broken on purpose is found.
func TestExplorationFindsEveryFault(t *testing.T) {
	for name, faults := range map[string]Faults{
		"ready late":        {ReadyLate: true},
		"admitted early":    {AdmitEarly: true},
		"no lame duck":      {LameDuckSkipped: true},
		"closed in order":   {DrainInOrder: true},
		"deadline stays":    {DeadlineStays: true},
		"ack means nothing": {AckIgnored: true},
	} {
		cfg := exploring()
		cfg.Faults = faults
		if _, fault := explore(cfg); fault == nil {
			t.Errorf("%s: not found", name)
		} else {
			t.Logf("%s: %v", name, fault)
		}
	}
}
