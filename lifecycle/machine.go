package lifecycle

import (
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"
)

// maxTransitions bounds the log of edges; drains may be asked for and undone for ever.
const maxTransitions = 256

// Machine is the life of a process without goroutine, clock or I/O: events go in by
// its methods, each with the time; actions come out of Begin and Step, to be carried
// out in order, and with them the time of the next Step. It is not safe for concurrent
// use.
//
// Every event method takes effect at once; its actions come with the next Step.
type Machine struct {
	cfg      Config
	services []*member
	targets  []*target

	at    stage
	state State
	since time.Time

	// One call at a time: out is under way, plan comes after it.
	out  *call
	plan []call
	seq  int

	pending []Action
	held    []Action // by Faults.ReadyLate
	log     []Transition
	errs    []error

	signals    int       // counted, 0 to 3
	lastSignal time.Time // that counted
	asked      string    // why to stop as soon as Begin is called; empty: do not
	park       bool      // asked for by API: stay in Drained
	acked      bool      // the lame duck was acknowledged
	turn       Turn      // of the latest stop
	turnFor    string    // why it waits for that
	turns      int       // number of the latest Ask
	ended      End       // what ends the lame duck, for the edge to Draining
	handed     bool      // a successor serves: the lame duck is its time of trial
	handedBy   time.Time // when that is over at the latest
	reason     string    // of the last edge, or of what will follow

	lameDuckBy time.Time // when the lame duck ends at the latest
	drainBy    time.Time // deadline of Drain
	budgetBy   time.Time // when Run returns at the latest; zero: not stopping
	killAt     time.Time // when the platform kills the process; zero: no signal came
	beatAt     time.Time // next line of the log; zero: none
}

// member is a registered service.
type member struct {
	name    string
	started bool          // Start returned nil
	lingers time.Duration // how much longer than the budget of the drain its Drain may take
}

// target is an init target.
type target struct {
	name  string
	ready bool
	since time.Time // of ready, or of err
	err   error
}

// ActionKind says what to do.
type ActionKind int

// The kinds of action.
const (
	Publish ActionKind = iota // tell health State and Reason, before the next action
	Call                      // call Verb of Service under Deadline; report by Returned
	Cancel                    // cancel the context of call Seq
	Move                      // give the context of call Seq of Service another Deadline
	Ask                       // wait for a turn, by Config.Turn; report by TurnOver with Seq
	Asked                     // the wait Seq is over: cancel it, and tell of Status().Turn
	Beat                      // log how the stop goes
	Unready                   // log the targets that are not ready
	Finish                    // over: Run returns Err
)

// Action is something that the shell does for the machine.
type Action struct {
	Kind     ActionKind
	From     State     // Publish
	State    State     // Publish
	Reason   string    // Publish
	Service  string    // Call
	Verb     Verb      // Call
	Seq      int       // Call, Cancel, Ask, Asked
	Deadline time.Time // Call of Drain, Move
	Cause    error     // Cancel
}

// NewMachine returns a machine in Starting that waits for Begin. It takes the
// configuration as the operator gave it and fills in the defaults.
func NewMachine(cfg Config) *Machine {
	return &Machine{cfg: cfg.withDefaults()}
}

// Register adds a service. It panics after Begin, and on a name that is taken.
func (m *Machine) Register(name string) {
	if m.at != stageNew {
		panic("BUG: lifecycle: Register after Run began: " + name)
	}
	if slices.ContainsFunc(m.services, func(s *member) bool { return s.name == name }) {
		panic("BUG: lifecycle: two services are called " + name)
	}
	m.services = append(m.services, &member{name: name})
}

// Linger lets the Drain of a service that is registered take so much longer than the others, from its call on, within
// the budget of the stop. A third signal ends that time too.
func (m *Machine) Linger(name string, d time.Duration) {
	for _, s := range m.services {
		if s.name == name {
			s.lingers = max(0, d)
		}
	}
}

// State is the state of the process.
func (m *Machine) State() State { return m.state }

// Transitions returns the latest 256 edges, oldest first.
func (m *Machine) Transitions() []Transition { return slices.Clone(m.log) }

// Err is everything that went wrong so far; nil if nothing did.
func (m *Machine) Err() error {
	all := &multierror.Error{Errors: slices.Clone(m.errs), ErrorFormat: oneLine}
	return all.ErrorOrNil()
}

// oneLine joins errors so that they fit into one line of the log.
func oneLine(errs []error) string {
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Begin starts the life. Call it once.
func (m *Machine) Begin(now time.Time) (actions []Action, next time.Time) {
	if m.at != stageNew {
		panic("BUG: lifecycle: Begin twice")
	}
	m.at, m.since, m.reason = stageStarting, now, "starting services"
	m.beatAt = now.Add(unreadyEvery)
	m.pending = append(m.pending, Action{Kind: Publish, From: Starting, State: Starting, Reason: m.reason})
	for _, s := range m.services {
		m.plan = append(m.plan, call{service: s, verb: VerbStart})
	}
	if m.asked != "" {
		m.drain(now, m.asked)
	}
	m.pump(now)
	return m.Step(now)
}

// Step does what is due at now and returns everything that is to be done, in order.
// next is when to call it again at the latest (zero: when something happens).
func (m *Machine) Step(now time.Time) (actions []Action, next time.Time) {
	m.stepCall(now)
	m.stepBudget(now)
	m.stepTurn(now)
	m.stepLameDuck(now)
	m.stepBeat(now)
	actions, m.pending = m.pending, nil
	return actions, m.next(now)
}

// next is the earliest time at which Step has something to do.
func (m *Machine) next(now time.Time) time.Time {
	var next time.Time
	sooner := func(at time.Time) {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if m.out != nil {
		sooner(m.out.giveUp)
	}
	sooner(m.budgetBy)
	sooner(m.beatAt)
	if m.at == stageLameDuck {
		sooner(m.quietAt(now))
	}
	if m.at == stageTurn {
		sooner(m.turn.Until)
	}
	return next
}

// switchTo takes an edge of the diagram of State.
func (m *Machine) switchTo(now time.Time, to State, reason string) {
	if !follows(m.state, to) {
		panic("BUG: lifecycle: " + m.state.String() + " => " + to.String())
	}
	m.log = append(m.log, Transition{At: now, From: m.state, To: to, Reason: reason, By: m.ended})
	m.ended = EndNone
	if len(m.log) > maxTransitions {
		m.log = slices.Delete(m.log, 0, 1)
	}
	// Invariant 5: published before any call that follows from the edge, because the
	// shell carries out actions in order.
	publish := Action{Kind: Publish, From: m.state, State: to, Reason: reason}
	if m.cfg.Faults.ReadyLate && (to == LameDuck || to == Draining) {
		m.held = append(m.held, publish)
	} else {
		m.pending = append(m.pending, append(m.held, publish)...)
		m.held = nil
	}
	m.state, m.since, m.reason = to, now, reason
}
