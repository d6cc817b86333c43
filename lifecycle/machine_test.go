package lifecycle

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// driver carries out the actions of a machine in virtual time and checks, at each one,
// what must always hold.
type driver struct {
	t      fataler
	m      *Machine
	now    time.Time
	next   time.Time
	calls  []Action // under way; the last is the only one the machine waits for
	ready  bool     // as published
	undone bool     // an undo was accepted since the last not-ready
	served bool
	open   map[string]bool    // services between Start and Close
	last   [VerbClose + 1]int // index of the service that was called last, for drain and close
	over   bool
	asking int // number of the wait for a turn that lasts; 0: none does
}

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// fataler is what of a test stops at a fault.
type fataler interface {
	Fatal(...any)
	Fatalf(string, ...any)
}

func newDriver(t fataler, cfg Config, services, targets []string) *driver {
	d := &driver{t: t, m: NewMachine(cfg), now: epoch, open: map[string]bool{}}
	for _, s := range services {
		d.m.Register(s)
	}
	for _, name := range targets {
		d.m.AddTarget(d.now, name)
	}
	d.last[VerbDrain], d.last[VerbClose] = len(services), len(services)
	return d
}

func (d *driver) begin() { d.carryOut(d.m.Begin(d.now)) }
func (d *driver) step()  { d.carryOut(d.m.Step(d.now)) }

func (d *driver) carryOut(actions []Action, next time.Time) {
	d.next = next
	for _, a := range actions {
		if d.over {
			d.t.Fatalf("action %+v after Finish", a)
		}
		switch a.Kind {
		case Publish:
			ready := a.State == Serving
			if ready && d.served && !d.undone {
				d.t.Fatal("invariant 5: ready again without an undo")
			}
			if !ready && d.ready {
				d.undone = false
			}
			d.ready, d.served = ready, d.served || ready
		case Call:
			d.called(a)
		case Finish:
			d.over = true
		case Move:
			if len(d.calls) == 0 || d.calls[len(d.calls)-1].Seq != a.Seq || a.Deadline != d.m.drainBy {
				d.t.Fatalf("moved the deadline of no call: %+v", a)
			}
		case Ask:
			if d.asking != 0 || !d.ready {
				d.t.Fatalf("asks for a turn while it waits for one (%d), or does not serve", d.asking)
			}
			d.asking = a.Seq
		case Asked:
			if d.asking != a.Seq {
				d.t.Fatalf("wait %d is over, and %d lasts", a.Seq, d.asking)
			}
			d.asking = 0
		case Cancel, Beat, Unready:
		}
	}
	if (d.asking != 0) != (d.m.at == stageTurn) || d.asking != 0 && !d.ready {
		d.t.Fatalf("wait %d in stage %d, ready %v", d.asking, d.m.at, d.ready)
	}
	if d.ready != (d.m.State() == Serving) {
		d.t.Fatalf("published ready %v in state %v", d.ready, d.m.State())
	}
}

func (d *driver) called(a Action) {
	switch a.Verb {
	case VerbStart:
	case VerbAdmit:
		for _, target := range d.m.targets {
			if !target.ready {
				d.t.Fatalf("admitted while target %s is not ready", target.name)
			}
		}
		if d.ready {
			d.t.Fatal("ready before admitted")
		}
	case VerbLameDuck, VerbDrain, VerbClose:
		if d.ready {
			d.t.Fatalf("invariant 5: %v %s while ready", a.Verb, a.Service)
		}
	}
	if a.Verb != VerbStart && !d.open[a.Service] {
		d.t.Fatalf("%v %s, which is not started, or closed", a.Verb, a.Service)
	}
	if a.Verb == VerbDrain || a.Verb == VerbClose {
		i := slices.IndexFunc(d.m.services, func(s *member) bool { return s.name == a.Service })
		// One that was told to stop while it started, and came up all the same, begins anew.
		if i >= d.last[a.Verb] && a.Verb == VerbClose {
			d.t.Fatalf("%v %s after one that was started before it", a.Verb, a.Service)
		}
		d.last[a.Verb] = i
	}
	if a.Verb == VerbClose {
		delete(d.open, a.Service)
	}
	d.calls = append(d.calls, a)
}

// back lets the i-th call return.
func (d *driver) back(i int, err error) {
	a := d.calls[i]
	d.calls = slices.Delete(d.calls, i, i+1)
	late := d.m.out == nil || d.m.out.seq != a.Seq
	if a.Verb == VerbStart && err == nil && !late {
		d.open[a.Service] = true
	}
	d.m.Returned(d.now, a.Seq, err)
	d.step()
}

// advance goes to the next time at which the machine wants to be called, or by d.
func (d *driver) advance(by time.Duration) {
	to := d.now.Add(by)
	for !d.over && !d.next.IsZero() && !d.next.After(to) {
		if d.next.Before(d.now) {
			d.t.Fatalf("next is %v ago", d.now.Sub(d.next))
		}
		d.now = d.next
		d.step()
		if !d.over && !d.next.IsZero() && !d.next.After(d.now) {
			d.t.Fatalf("the machine spins: state %v, stage %d", d.m.State(), d.m.at)
		}
	}
	d.now = to
	if !d.over {
		d.step()
	}
}

// moveDeadline checks that a deadline moves only while draining, and that no stop outlives
// the clock of the platform by it.
func (d *driver) moveDeadline(by time.Duration) {
	before, at := d.m.drainBy, d.now.Add(by)
	switch err := d.m.MoveDeadline(d.now, at); {
	case err != nil && d.m.drainBy != before:
		d.t.Fatalf("refused (%v), and moved", err)
	case err == nil && d.m.State() != Draining:
		d.t.Fatalf("the deadline moved in %v", d.m.State())
	}
	if k := d.m.killAt; !k.IsZero() && d.m.at == stageDraining && (d.m.drainBy.After(k) || d.m.budgetBy.After(k)) {
		d.t.Fatalf("drain until %v, budget until %v, killed at %v", d.m.drainBy, d.m.budgetBy, k)
	}
}

// FuzzMachine throws events at the machine in any order, with calls that return late,
// wrong or never, and checks that it is ready only in Serving, that readiness comes
// back only by an undo, that calls are in order, and that a stop always ends within
// its budget.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 0, 0, 3, 3, 0, 0, 0, 5, 0, 0, 0, 9, 9, 9, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 3, 3, 0, 0, 0, 6, 8, 0, 0, 0, 5, 5, 9, 9, 9, 9})
	f.Add([]byte{5, 0, 1, 4, 2})
	f.Add([]byte{0, 0, 0, 3, 3, 0, 0, 0, 22, 0, 0, 0, 9, 46, 0, 0, 0, 22, 0, 0, 0, 34, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 3, 3, 0, 0, 0, 22, 0, 0, 0, 5, 46, 0, 0, 58})
	f.Add([]byte{0, 0, 0, 3, 3, 0, 0, 0, 7, 0, 0, 0, 9, 9, 9, 0, 0, 0, 5, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		d := newDriver(t, Config{}, []string{"a", "b", "c"}, []string{"x", "y"})
		d.begin()
		broken := errors.New("broken")
		for _, b := range script {
			if d.over {
				break
			}
			before := d.m.State()
			switch arg := int(b) / 13; b % 13 {
			case 0, 1: // most calls return well
				if len(d.calls) > 0 {
					d.back(len(d.calls)-1, nil)
				}
			case 2:
				if len(d.calls) > 0 {
					d.back(arg%len(d.calls), broken)
				}
			case 3:
				for _, name := range []string{"x", "y"} {
					if !d.m.target(name).ready {
						d.m.TargetReady(d.now, name)
						break
					}
				}
			case 4:
				d.m.TargetWaiting(d.now, "y", broken)
			case 5:
				d.m.Signal(d.now, Signal(arg%2))
			case 6:
				_ = d.m.RequestDrain(d.now, arg%2 == 0)
			case 7:
				d.m.ServiceFailed(d.now, "b", broken)
			case 8:
				if err := d.m.Undo(d.now); err == nil && before == LameDuck {
					d.undone = true
				}
			case 9:
				d.advance(time.Duration(arg) * 700 * time.Millisecond)
			case 10:
				switch arg % 5 {
				case 0:
					_ = d.m.Acknowledge(d.now)
				case 1:
					_ = d.m.HandOver(d.now, d.now.Add(3*time.Second))
				case 2:
					d.m.Confirm(d.now)
				case 3:
					if err := d.m.TakeBack(d.now); err == nil {
						d.undone = true
					}
				case 4:
					d.m.Cut(d.now, "evicted")
				}
			case 11:
				d.advance(time.Duration(arg) * 40 * time.Millisecond)
			case 12:
				d.moveDeadline(time.Duration(arg-3) * 5 * time.Second)
			}
			if !d.over {
				d.step()
			}
		}
		// However it stands and whatever hangs: two signals and the budget end it. The
		// first may fall within 250 ms of an earlier one, or into an undo.
		for range 2 {
			if !d.over {
				d.advance(time.Second)
			}
			if !d.over {
				d.m.Signal(d.now, Terminate)
				d.step()
			}
		}
		d.advance(d.m.cfg.Budget)
		if !d.over {
			t.Fatalf("not over after the budget: state %v, stage %d", d.m.State(), d.m.at)
		}
		if got, want := d.m.State() == Failed, d.m.Err() != nil; got != want {
			t.Fatalf("state %v with error %v", d.m.State(), d.m.Err())
		}
		for _, edge := range d.m.Transitions() {
			if !follows(edge.From, edge.To) {
				t.Fatalf("edge %v", edge)
			}
		}
	})
}

func TestMachineEventsBeforeBegin(t *testing.T) {
	d := newDriver(t, Config{}, []string{"a"}, nil)
	d.m.Signal(d.now, Terminate)
	d.begin()
	if !d.over || len(d.calls) != 0 || d.m.State() != Stopped {
		t.Errorf("over %v, calls %+v, state %v", d.over, d.calls, d.m.State())
	}
	d = newDriver(t, Config{}, []string{"a"}, nil)
	d.m.ServiceFailed(d.now, "a", errors.New("early"))
	d.begin()
	if !d.over || d.m.State() != Failed || d.m.Err() == nil {
		t.Errorf("over %v, state %v, error %v", d.over, d.m.State(), d.m.Err())
	}
}

// A call that was given up and returns after all is not taken for the one after it.
func TestLateReturnCountsForNothing(t *testing.T) {
	d := newDriver(t, Config{}, []string{"a", "b"}, nil)
	d.begin()
	for len(d.calls) > 0 { // start and admit
		d.back(0, nil)
	}
	d.m.Signal(d.now, Terminate)
	d.step()
	d.advance(DefaultGrace) // a does not return from its lame duck
	if len(d.calls) != 2 || d.calls[1].Service != "b" {
		t.Fatalf("calls under way %+v", d.calls)
	}
	d.back(0, nil)
	if got := d.m.Status().Holding; got != "lame duck b" {
		t.Errorf("waiting for %q, want lame duck b", got)
	}
}

func TestMachineBugsPanic(t *testing.T) {
	for name, bug := range map[string]func(*Machine){
		"two of a name":   func(m *Machine) { m.Register("a"); m.Register("a") },
		"late Register":   func(m *Machine) { m.Begin(epoch); m.Register("a") },
		"Begin twice":     func(m *Machine) { m.Begin(epoch); m.Begin(epoch) },
		"an illegal edge": func(m *Machine) { m.switchTo(epoch, Drained, "") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s does not panic", name)
				}
			}()
			bug(NewMachine(Config{}))
		}()
	}
}

func TestTransitionLogIsBounded(t *testing.T) {
	d := newDriver(t, Config{}, nil, nil)
	d.begin()
	for range 1000 {
		if err := d.m.RequestDrain(d.now, true); err != nil {
			t.Fatal(err)
		}
		d.step()
		d.undone = true
		if err := d.m.Undo(d.now); err != nil {
			t.Fatal(err)
		}
		d.step()
	}
	if got := len(d.m.Transitions()); got != maxTransitions {
		t.Errorf("%d edges, want %d", got, maxTransitions)
	}
}

// The heartbeat and the list of unready targets keep their rhythm, and stop.
func TestBeats(t *testing.T) {
	m := NewMachine(Config{})
	m.Register("a")
	m.AddTarget(epoch, "x")
	now := epoch
	count := func(kind ActionKind, actions []Action) (n int) {
		for _, a := range actions {
			if a.Kind == kind {
				n++
			}
		}
		return n
	}
	// each second for d, with calls returning at once
	run := func(kind ActionKind, d time.Duration) (n int) {
		for end := now.Add(d); now.Before(end); now = now.Add(time.Second) {
			actions, _ := m.Step(now)
			n += count(kind, actions)
			for i := 0; i < len(actions); i++ {
				if actions[i].Kind == Call && actions[i].Verb != VerbDrain {
					m.Returned(now, actions[i].Seq, nil)
					more, _ := m.Step(now)
					actions = append(actions, more...)
				}
			}
		}
		return n
	}
	actions, _ := m.Begin(now)
	m.Returned(now, actions[len(actions)-1].Seq, nil)
	if got := run(Unready, 61*time.Second); got != 4 {
		t.Errorf("%d lists of unready targets in a minute, want 4", got)
	}
	m.TargetWaiting(now, "x", errors.New("no route to host"))
	if s := m.Status(); len(s.Unready) != 1 || s.Unready[0].Err == nil || s.Unready[0].Since != now {
		t.Errorf("status %+v", s)
	}
	m.TargetReady(now, "x")
	if got := run(Unready, time.Minute) + run(Beat, time.Minute); got != 0 || m.State() != Serving {
		t.Errorf("%d lines while in state %v", got, m.State())
	}
	m.Signal(now, Terminate)
	// At 5, 15, 20 and 25 s: the edge at 10 s is a line of its own and starts anew.
	if got := run(Beat, 26*time.Second); got != 4 {
		t.Errorf("%d heartbeats in 25s, want 4", got)
	}
	if s := m.Status(); s.State != Draining || s.Holding != "drain a" {
		t.Errorf("status %+v", s)
	}
}

func TestValidateReportsEverything(t *testing.T) {
	err := Config{Timeout: -1, Budget: -1}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	var joined interface{ WrappedErrors() []error }
	if !errors.As(err, &joined) || len(joined.WrappedErrors()) != 2 {
		t.Errorf("error %v, want two", err)
	}
	if err := (Config{Budget: 20 * time.Second}).Validate(); err == nil {
		t.Error("a budget that cannot fit is accepted")
	}
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}
