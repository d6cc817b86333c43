package handover

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Stage is where an upgrade stands.
//
//	        Begin              READY, policy as new          take_back over
//	Idle ──────────▶ Starting ─────────────────────▶ Trial ────────────────▶ Confirmed
//	 ▲                 │ hangs, never syncs,           │ │ exits
//	 │   exits         ▼ or we are told to stop        │ │
//	 ├────────────── Ending ◀──────────────────────────┘ │
//	 │                          hangs: killed, taken back│
//	 └───────────────────────────────────────────────────┘ taken back
//
// Confirmed is final: there is nothing left to hand over.
type Stage int

// The stages. The zero Stage is Idle.
const (
	Idle      Stage = iota // no successor
	Starting               // it runs, we serve
	Ending                 // it was told to go, or killed, and we serve
	Trial                  // it serves, we hold the sockets still
	Confirmed              // it serves alone
)

// String returns the stage in lower case.
func (s Stage) String() string {
	switch s {
	case Idle:
		return "idle"
	case Starting:
		return "starting"
	case Ending:
		return "ending"
	case Trial:
		return "trial"
	case Confirmed:
		return "confirmed"
	}
	return "Stage(" + strconv.Itoa(int(s)) + ")"
}

// Result is how an upgrade went so far, in the words of `sluice upgrade`.
type Result string

// The results. The last three are final.
const (
	None      Result = "none"       // there was none
	Underway  Result = "starting"   // we serve, the successor starts
	Switched  Result = "switched"   // the successor serves, on trial
	Succeeded Result = "confirmed"  // it stands
	Refused   Result = "failed"     // we never stopped serving
	TakenBack Result = "taken_back" // it failed on trial, we serve again
)

// Final reports whether nothing comes after r.
func (r Result) Final() bool { return r == Succeeded || r == Refused || r == TakenBack }

// Errors of Begin.
var (
	ErrBusy       = errors.New("an upgrade is under way: wait until it is over")
	ErrHandedOver = errors.New("this process has handed over already: ask its successor")
)

// Times of an upgrade. All must be positive but TakeBack, which may be 0, and Silence.
type Times struct {
	Ready    time.Duration // from the start of the successor to READY
	TakeBack time.Duration // for how long the sockets are held after that
	Stop     time.Duration // for a successor that was told to go, before it is killed
	Silence  time.Duration // without a report on trial: it hangs; 0: that is not looked at
}

// looks is in how many pieces a silence is counted. Each look counts one, however late it
// comes: when it is we who were stopped, what was said meanwhile is heard before it counts.
const looks = 6

// Trial is how long a trial lasts at most: one that is to end waits for one more report.
func (t Times) Trial() time.Duration { return t.TakeBack + t.Silence + t.Silence/looks }

// ActionKind says what to do.
type ActionKind int

// The kinds of action.
const (
	Spawn     ActionKind = iota // start the successor; report by Spawned
	Permit                      // tell it that its policy will do
	Refresh                     // look whether our own policy is the old one; report by Heard
	Switch                      // yield, tell it to take over, stop accepting
	Verify                      // look whether the successor is there at this moment; report by Verified
	Confirm                     // let go of the sockets, tell it, drain
	TakeBack                    // accept again
	Terminate                   // tell the successor that we keep the sockets, and SIGTERM
	Kill                        // SIGKILL
	Tell                        // put it into the log
)

// Action is one thing to do.
type Action struct {
	Kind   ActionKind
	Result Result // Tell
	Reason string // Tell
}

// Faults is a test seam: each field breaks one rule so that the simulation can show that it
// notices. The zero value breaks none. Never set one in a product.
type Faults struct {
	PermitAny      bool // the successor's policy is not looked at
	SwitchEarly    bool // READY is not waited for
	ConfirmBlindly bool // a successor that is dead is confirmed
	ForgetTakeBack bool // a successor that fails on trial is not replaced
	AbandonNobody  bool // a successor that starts is waited for, though we are told to stop
	IgnoreSilence  bool // a successor that says nothing on trial is confirmed
}

// Machine is an upgrade as its predecessor goes through it, without process, clock or I/O.
// It is not safe for concurrent use.
type Machine struct {
	Faults Faults // a test seam; not written after the first event

	times Times
	stage Stage

	by        time.Time // end of Starting, Ending or Trial; zero: none, or it is over
	permitted bool
	ready     bool
	steady    bool   // it says that it reports again and again
	unlike    string // why its policy will not do; empty: it does, or nothing is known
	waiting   string // for what it waits, in its own words

	lookAt time.Time // on trial: the next look whether it has reported; zero: it is not held to that
	missed int       // looks that found nothing since the last report

	result  Result
	reason  string
	pending []Action
}

// NewMachine returns a machine in Idle.
func NewMachine(t Times) *Machine { return &Machine{times: t, result: None} }

// Stage is where it stands.
func (m *Machine) Stage() Stage { return m.stage }

// Result is how it went, and why.
func (m *Machine) Result() (Result, string) {
	if m.stage == Starting {
		return m.result, m.holdup()
	}
	return m.result, m.reason
}

// Begin starts an upgrade.
func (m *Machine) Begin(now time.Time) error {
	switch m.stage {
	case Idle:
	case Starting, Ending, Trial:
		return ErrBusy
	case Confirmed:
		return ErrHandedOver
	}
	m.stage, m.by = Starting, now.Add(m.times.Ready)
	m.permitted, m.ready, m.steady, m.unlike, m.waiting = false, false, false, "", ""
	m.pending = append(m.pending, Action{Kind: Spawn})
	m.tell(Underway, "")
	return nil
}

// Spawned reports that the successor could not be started. There is nothing to wait for.
func (m *Machine) Spawned(err error) {
	if m.stage == Starting && err != nil {
		m.turn(Idle)
		m.tell(Refused, "the successor could not be started: "+err.Error())
	}
}

// Heard takes what the successor says, and our own policy at this moment.
func (m *Machine) Heard(now time.Time, n Notice) {
	stopping := (n.Stopping || n.Report != nil && n.Report.Stopping)
	switch {
	case stopping && m.stage == Starting:
		m.end(now, "the successor stops: "+why(n.Report))
		return
	case stopping && m.stage == Trial && n.Report != nil && n.Report.Failed:
		m.pending = append(m.pending, Action{Kind: Terminate})
		m.takeBack(Ending, "the successor took over, and stops: "+why(n.Report))
		m.by = now.Add(m.times.Stop)
		return
	case stopping && m.stage == Trial:
		// It was told to: it closes the sockets in good order, and for that it has to be alone.
		m.verify("the successor stops, by itself: " + why(n.Report))
		return
	case m.stage == Trial && n.Report != nil:
		m.reported(now)
		return
	}
	if m.stage != Starting {
		return
	}
	m.ready = m.ready || n.Ready
	if n.Report != nil {
		m.steady = m.steady || n.Report.Steady
		m.waiting = n.Report.Waiting
		before := m.unlike
		m.unlike = ""
		if err := n.Report.Policy.AtLeast(n.Ours); err != nil && !m.Faults.PermitAny {
			m.unlike = err.Error()
		}
		switch {
		case m.unlike == "" && !m.permitted:
			m.permitted = true
			m.pending = append(m.pending, Action{Kind: Permit})
		case m.unlike != "" && m.unlike != before && n.Report.Policy.Hash != "":
			m.pending = append(m.pending, Action{Kind: Refresh}) // perhaps it is we who are behind
		}
	}
	if m.permitted && (m.ready || m.Faults.SwitchEarly) && m.unlike == "" {
		m.stage, m.by, m.lookAt = Trial, now.Add(m.times.TakeBack), time.Time{}
		if m.steady {
			m.listen(now)
		}
		m.pending = append(m.pending, Action{Kind: Switch})
		m.tell(Switched, "")
	}
}

// why is the reason of a successor that stops.
func why(r *Report) string {
	if r == nil || r.Reason == "" {
		return "its log says why"
	}
	return r.Reason
}

// Notice is what was heard.
type Notice struct {
	Ready, Stopping bool
	Report          *Report // nil: none
	Ours            Version
}

// Exited reports the end of the successor, and how.
func (m *Machine) Exited(how string) {
	switch m.stage {
	case Starting:
		m.turn(Idle)
		m.tell(Refused, "the successor ended before it was ready: "+how+"; its log says why")
	case Ending:
		m.turn(Idle)
	case Trial:
		m.takeBack(Idle, "the successor ended after it took over: "+how)
	case Idle, Confirmed:
	}
}

// turn goes to a stage that has no end of its own.
func (m *Machine) turn(to Stage) { m.stage, m.by, m.lookAt = to, time.Time{}, time.Time{} }

func (m *Machine) takeBack(to Stage, why string) {
	m.turn(to)
	if !m.Faults.ForgetTakeBack {
		m.pending = append(m.pending, Action{Kind: TakeBack})
		m.tell(TakenBack, why)
	}
}

// verify asks whether there is anybody to confirm.
func (m *Machine) verify(reason string) {
	m.by, m.reason = time.Time{}, reason
	m.pending = append(m.pending, Action{Kind: Verify})
}

// Verified reports whether the successor lived when it was looked at: its exit may not
// have been noticed yet, and then nobody would hold the sockets. One that does not live is
// waited for no longer than it takes to notice.
func (m *Machine) Verified(lives bool) {
	if m.stage == Trial && (lives || m.Faults.ConfirmBlindly) {
		m.turn(Confirmed)
		m.pending = append(m.pending, Action{Kind: Confirm})
		m.tell(Succeeded, m.reason)
	}
}

// Abandon says that we are told to stop: a successor that does not serve yet never will.
func (m *Machine) Abandon(now time.Time, why string) {
	if m.stage == Starting && !m.Faults.AbandonNobody {
		m.end(now, why)
	}
}

// hurryWithin is what a successor has that was told to go when we go ourselves.
const hurryWithin = time.Second

// Hurry says that we are about to close our sockets: whoever does not serve may hold none.
// The trial of one that does is over: nobody could replace it any more.
func (m *Machine) Hurry(now time.Time, why string) {
	m.Abandon(now, why)
	if m.stage == Trial {
		m.lookAt = time.Time{}
		m.verify("")
	}
	if by := now.Add(hurryWithin); m.stage == Ending && by.Before(m.by) {
		m.by = by
	}
}

// Step does what is due, and returns everything that is to be done, in order. next is when
// to call it again at the latest; zero: when something happens.
func (m *Machine) Step(now time.Time) (actions []Action, next time.Time) {
	if !m.by.IsZero() && !now.Before(m.by) {
		switch m.stage {
		case Starting:
			m.end(now, fmt.Sprintf("the successor was not ready within %s: %s", m.times.Ready, m.holdup()))
		case Ending:
			m.by = time.Time{}
			m.pending = append(m.pending, Action{Kind: Kill})
		case Trial:
			m.trialOver()
		case Idle, Confirmed:
		}
	}
	m.look(now)
	actions, m.pending = m.pending, nil
	if !m.lookAt.IsZero() && (m.by.IsZero() || m.lookAt.Before(m.by)) {
		return actions, m.lookAt
	}
	return actions, m.by
}

// end tells the successor to go.
func (m *Machine) end(now time.Time, why string) {
	m.stage, m.by = Ending, now.Add(m.times.Stop)
	m.pending = append(m.pending, Action{Kind: Terminate})
	m.tell(Refused, why)
}

// holdup is what the successor waits for, as far as is known.
func (m *Machine) holdup() string {
	switch {
	case m.waiting != "":
		return strings.TrimSuffix("it waits for "+m.waiting+"; "+m.unlike, "; ")
	case m.unlike != "":
		return m.unlike
	case m.permitted:
		return "it may admit, and did not say READY"
	}
	return "it said nothing"
}

func (m *Machine) tell(r Result, reason string) {
	m.result, m.reason = r, reason
	m.pending = append(m.pending, Action{Kind: Tell, Result: r, Reason: reason})
}
