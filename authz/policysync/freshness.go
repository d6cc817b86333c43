package policysync

import (
	"fmt"
	"strings"
	"time"
)

// CheckFresh is the name of one more check that Report is given: was the policy in force seen to be the newest, not long ago?
const CheckFresh = "policy.freshness"

// OnStale says what becomes of a policy that was not seen to be the newest for too long. Whatever it is, the process
// lives on, and everything is as before with the first time that the source is read well.
type OnStale int

// The zero OnStale is Warn.
const (
	Warn    OnStale = iota // it is shown
	Unready                // this replica is not ready, as long as few others are stale too
	Deny                   // nobody is let in by it
)

func (o OnStale) String() string {
	switch o {
	case Warn:
		return "warn"
	case Unready:
		return "unready"
	case Deny:
		return "deny"
	}
	return "invalid"
}

// Fleet is what is known of all replicas at one moment. The zero Fleet knows nothing.
type Fleet struct {
	Known    bool // it was read not long ago
	Replicas int  // that there are, this one too
	Stale    int  // of them, this one too if it is
}

// FreshnessRule says when a policy in force is too old, and what happens then. The zero value is off.
type FreshnessRule struct {
	// Max is how long ago the policy in force may have been seen to be the newest. Zero: as long as it likes. It is
	// measured by the monotonic clock, so that setting the time changes nothing.
	Max time.Duration
	On  OnStale
	// Guard is a percentage of the fleet: with Unready, this replica is not ready only while fewer are stale, since a
	// store that is away for all must not take all out of rotation. Zero: whatever the others are.
	Guard int
	// Fleet is asked for the others, at most once a second, and must not block; nil: nobody knows. What is not known speaks against being unready.
	Fleet func() Fleet
}

// FreshnessState is what became of a policy by its age. The set is closed: it is a label.
type FreshnessState string

// The states of freshness.
const (
	NotJudged FreshnessState = "none"    // no policy is in force, or its age does not matter
	Fresh     FreshnessState = "fresh"   // seen to be the newest not long ago
	Warned    FreshnessState = "warned"  // too old: shown
	Guarded   FreshnessState = "guarded" // too old: this replica would be unready, were the others not stale too, or not known
	NotReady  FreshnessState = "unready" // too old: this replica is not ready
	Denied    FreshnessState = "denied"  // too old: nobody is let in
)

// FreshnessStates are all that there are.
func FreshnessStates() []FreshnessState {
	return []FreshnessState{NotJudged, Fresh, Warned, Guarded, NotReady, Denied}
}

// Freshness is the judgement on the policy in force.
type Freshness struct {
	State FreshnessState `json:"state"`
	Text  string         `json:"text,omitempty"` // why, and what follows; empty while there is nothing to say
	Seen  time.Time      `json:"seen,omitzero"`  // when it was last seen to be the newest, by the clock of now
}

// Stale reports whether it is too old.
func (f Freshness) Stale() bool { return f.State != NotJudged && f.State != Fresh && f.State != "" }

// judge says what follows from an age. seen is the time at which the words say that it was last the newest.
func (r FreshnessRule) judge(age time.Duration, seen time.Time, problem string) Freshness {
	f := Freshness{State: Fresh, Seen: seen}
	if r.Max <= 0 || age <= r.Max {
		return f
	}
	var follows string
	switch r.On {
	case Warn:
		f.State, follows = Warned, "it stays in force (policy.on_stale)"
	case Deny:
		f.State, follows = Denied, "nobody is let in by it (policy.on_stale)"
	case Unready:
		f.State, follows = r.guard()
	}
	f.Text = fmt.Sprintf("the policy in force was last seen to be the newest at %s, longer ago than %s (policy.max_staleness): %s", seen.UTC().Format(time.RFC3339), r.Max, follows)
	if problem != "" {
		problem, _, _ = strings.Cut(problem, "\n")
		f.Text += ": " + problem
	}
	return f
}

// guard decides whether a stale replica may leave the rotation.
func (r FreshnessRule) guard() (FreshnessState, string) {
	if r.Guard <= 0 {
		return NotReady, "this replica is not ready (policy.on_stale)"
	}
	fleet := Fleet{}
	if r.Fleet != nil {
		fleet = r.Fleet()
	}
	switch {
	case !fleet.Known || fleet.Replicas < 1:
		return Guarded, "this replica stays ready, since it is not known how many others are stale (policy.fleet_guard)"
	case max(1, fleet.Stale)*100 >= r.Guard*fleet.Replicas:
		return Guarded, fmt.Sprintf("this replica stays ready, since %d%% of the fleet or more are stale (policy.fleet_guard)", r.Guard)
	}
	return NotReady, fmt.Sprintf("this replica is not ready, since less than %d%% of the fleet are stale (policy.on_stale, policy.fleet_guard)", r.Guard)
}
