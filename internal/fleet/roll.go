package fleet

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// RollConfig says how a fleet is restarted.
type RollConfig struct {
	IDs         []string // whom, in this order; empty: all that are there at the beginning, by ID
	Budget      Budget   // how many at a time
	ReadyWithin time.Duration
	StoreWait   time.Duration // how long the store may be silent before the roll stops
	NoAccount   bool          // goes on though nobody knows what the old process lost
	Head        func() Policy // the newest version there is, as far as somebody knows beside the replicas; nil: nobody
}

// Roll restarts the replicas of a fleet, a budget at a time. It has no clock, store or goroutine: Step takes what the store
// said and says whom to restart; Asked takes what came of that. It ends with Done.
//
// Invariant: a restart is asked for only in a Step with a view of the store, and only if, with it, no more than the budget are
// away: those under way, those with a claim, and those that were there at the beginning and are not ready.
type Roll struct {
	cfg      RollConfig
	steps    []*RollStep
	known    []string // who was there at the beginning
	answered time.Time
	silent   bool
	idle     time.Time // since when nothing moved although something is to be done; zero: it moves
	stopped  string
}

// RollStep is what became of one replica.
type RollStep struct {
	ID      string    `json:"id"`
	State   RollState `json:"state"`
	Old     string    `json:"old_instance"`
	New     string    `json:"new_instance,omitempty"`
	Asked   time.Time `json:"asked,omitzero"`
	Ready   time.Time `json:"ready,omitzero"`
	Lost    int       `json:"lost"`
	Turn    Outcome   `json:"turn,omitempty"`    // how the old process came to leave
	Account string    `json:"account,omitempty"` // of the old process
	Reason  string    `json:"reason,omitempty"`  // what is waited for, or what went wrong
	by      time.Time
}

// RollState is where a RollStep stands. The set is closed.
type RollState string

// The states.
const (
	RollPending   RollState = "pending"
	RollUnderway  RollState = "underway"
	RollRestarted RollState = "restarted"
	RollFailed    RollState = "failed"
)

// NewRoll plans a roll of the fleet that a view shows. It refuses what could not end well.
func NewRoll(cfg RollConfig, v View, now time.Time) (*Roll, error) {
	r := &Roll{cfg: cfg, answered: now}
	there := map[string]Replica{}
	for _, x := range v.Replicas() {
		there[x.ID] = x
		r.known = append(r.known, x.ID)
	}
	ids := cfg.IDs
	if len(ids) == 0 {
		ids = r.known
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("nobody is registered: there is nothing to restart")
	}
	for _, id := range ids {
		x, ok := there[id]
		if !ok {
			return nil, fmt.Errorf("replica %q is not registered", id)
		}
		if slices.ContainsFunc(r.steps, func(s *RollStep) bool { return s.ID == id }) {
			return nil, fmt.Errorf("replica %q is named twice", id)
		}
		r.steps = append(r.steps, &RollStep{ID: id, State: RollPending, Old: x.Instance})
	}
	return r, nil
}

// Steps returns what became of each so far, in order.
func (r *Roll) Steps() (list []RollStep) {
	for _, s := range r.steps {
		list = append(list, *s)
	}
	return list
}

// Stopped is why no more are restarted; empty: it goes on, or all are.
func (r *Roll) Stopped() string { return r.stopped }

// Done reports whether nothing is under way and nothing will be.
func (r *Roll) Done() bool {
	return !slices.ContainsFunc(r.steps, func(s *RollStep) bool {
		return s.State == RollUnderway || s.State == RollPending && r.stopped == ""
	})
}

// Silent takes that the store did not answer: nobody is restarted, and after StoreWait nobody will be.
func (r *Roll) Silent(now time.Time, err error) {
	r.silent = true
	if now.Sub(r.answered) < r.cfg.StoreWait {
		return
	}
	r.stop(fmt.Sprintf("the store did not answer for %s: %v", r.cfg.StoreWait, err))
	for _, s := range r.steps {
		if s.State == RollUnderway {
			s.State, s.Reason = RollFailed, "nobody knows what became of it: the store does not answer"
		}
	}
}

func (r *Roll) stop(why string) {
	if r.stopped == "" {
		r.stopped = why
	}
}

// Asked takes what came of asking a replica to restart.
func (r *Roll) Asked(id string, err error) {
	if s := r.find(id); s != nil && err != nil && s.State == RollUnderway {
		s.State, s.Reason = RollFailed, "restart: "+err.Error()
		r.stop("replica " + id + " could not be restarted")
	}
}

func (r *Roll) find(id string) *RollStep {
	i := slices.IndexFunc(r.steps, func(s *RollStep) bool { return s.ID == id })
	if i < 0 {
		return nil
	}
	return r.steps[i]
}

// Step takes a view and says whom to restart now.
func (r *Roll) Step(now time.Time, v View) (restart []Replica) {
	there := map[string]Replica{}
	for _, x := range v.Replicas() {
		there[x.ID] = x
	}
	if r.silent { // replicas may have to register again before anything can be said of them
		for _, s := range r.steps {
			s.by = later(s.by, now.Add(r.cfg.ReadyWithin))
		}
	}
	r.answered, r.silent = now, false
	for _, s := range r.steps {
		if s.State == RollUnderway {
			r.judge(now, s, there)
		}
	}
	away, names := r.away(v, there)
	limit := r.cfg.Budget.Of(max(len(r.known), v.Size()))
	for _, s := range r.steps {
		if s.State != RollPending || r.stopped != "" {
			continue
		}
		x, ok := there[s.ID]
		if n := len(away); away[s.ID] || n >= limit || !ok || !x.Ready {
			s.Reason = fmt.Sprintf("waits: %d of at most %d are away: %s", n, limit, strings.Join(names, ", "))
			r.stuck(now, names)
			break // in order
		}
		s.State, s.Asked, s.by, s.Old, s.Reason = RollUnderway, now, now.Add(r.cfg.ReadyWithin), x.Instance, ""
		away[s.ID], r.idle = true, time.Time{}
		restart = append(restart, x)
	}
	return restart
}

// stuck stops a roll that waits for others and not for its own.
func (r *Roll) stuck(now time.Time, names []string) {
	if slices.ContainsFunc(r.steps, func(s *RollStep) bool { return s.State == RollUnderway }) {
		r.idle = time.Time{}
		return
	}
	if r.idle.IsZero() {
		r.idle = now
	}
	if now.Sub(r.idle) >= r.cfg.ReadyWithin {
		r.stop(fmt.Sprintf("for %s others are away: %s", r.cfg.ReadyWithin, strings.Join(names, ", ")))
	}
}

// away is who does not serve at this moment, or is about to stop.
func (r *Roll) away(v View, there map[string]Replica) (set map[string]bool, names []string) {
	set = map[string]bool{}
	for _, s := range v.Line() {
		set[s.ID] = true
	}
	for _, id := range r.known {
		if x, ok := there[id]; !ok || !x.Ready {
			set[id] = true
		}
	}
	for _, s := range r.steps {
		if s.State == RollUnderway || s.State == RollFailed {
			set[s.ID] = true
		}
	}
	for id := range set {
		names = append(names, id)
	}
	slices.Sort(names)
	return set, names
}

// judge looks at a replica that is being restarted.
func (r *Roll) judge(now time.Time, s *RollStep, there map[string]Replica) {
	x, ok := there[s.ID]
	switch {
	case !ok:
		s.Reason = "it is gone, and not back"
	case x.Instance == s.Old && x.Leaving:
		s.Reason = "the old process " + strings.ReplaceAll(x.State, "_", " ")
	case x.Instance == s.Old:
		s.Reason = "the old process serves"
	case !x.Ready:
		s.Reason = "the new process is not ready: " + x.State
	case !r.newest(x.Policy, there):
		s.Reason = fmt.Sprintf("the new process has policy version %d, which is not the newest", x.Policy.Number)
	default:
		r.back(now, s, x)
		return
	}
	if !now.Before(s.by) {
		s.State = RollFailed
		r.stop(fmt.Sprintf("replica %s is not back within %s: %s", s.ID, r.cfg.ReadyWithin, s.Reason))
	}
}

// back takes that a replica is ready again: was anything lost?
func (r *Roll) back(now time.Time, s *RollStep, x Replica) {
	s.New, s.Ready, s.Reason, s.State = x.Instance, now, "", RollRestarted
	last := x.Last
	if last == nil || last.Instance != s.Old && (last.Instance != "" || last.Ended.Before(s.Asked.Add(-time.Minute))) {
		if !r.cfg.NoAccount {
			s.State, s.Reason = RollFailed, "it is ready, and nobody knows what the old process lost: it left no account"
			r.stop("replica " + s.ID + " left no account of its end")
		}
		return
	}
	s.Lost, s.Turn, s.Account = last.Lost, last.Turn, last.Text
	if last.Lost > 0 || last.Failed {
		s.State, s.Reason = RollFailed, "the old process: "+last.Text
		r.stop(fmt.Sprintf("replica %s lost %d", s.ID, last.Lost))
	}
}

// newest reports whether a policy is as new as any that is known. Where numbers are not the publisher's there is no newer.
func (r *Roll) newest(p Policy, there map[string]Replica) bool {
	if p.Hash == "" {
		return false
	}
	newest := Policy{}
	for _, x := range there {
		if x.Policy.Ordered && x.Policy.Number > newest.Number {
			newest = x.Policy
		}
	}
	if r.cfg.Head != nil {
		if h := r.cfg.Head(); h.Number > newest.Number {
			newest = h
		}
	}
	return !p.Ordered || p.Hash == newest.Hash || p.Number >= newest.Number
}
