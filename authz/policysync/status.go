package policysync

import (
	"fmt"
	"maps"
	"time"
)

// Names of the health checks that Report is given.
const (
	CheckInitial = "policy.sync.initial" // is any policy in force?
	CheckBuild   = "policy.build"        // is the newest version in force?
	CheckStorage = "storage.backend"     // does the source answer?
)

// State is what a check says.
type State int

// The states of a check.
const (
	Starting State = iota // not yet
	Running               // as it should be
	Degraded              // the last good policy goes on; someone should look
	Failing               // this replica should not be sent to
)

func (s State) String() string {
	switch s {
	case Starting:
		return "starting"
	case Running:
		return "running"
	case Degraded:
		return "degraded"
	case Failing:
		return "failing"
	}
	return "invalid"
}

// Status is the account of the syncer at one moment.
type Status struct {
	Source    string    `json:"source"`
	Version   Version   `json:"version"`            // in force; zero if none is
	Applied   time.Time `json:"applied,omitzero"`   // when it came into force
	Ordered   bool      `json:"ordered"`            // its number is the publisher's
	Published time.Time `json:"published,omitzero"` // as far as the source knows
	Expires   time.Time `json:"expires,omitzero"`   // of the version in force; zero: never
	Expired   bool      `json:"expired"`            // it goes on, and nobody else would apply it any more
	LastGood  bool      `json:"last_good"`          // it came from the state directory, not from the source
	Rejected  *Rejected `json:"rejected,omitempty"` // the newest version, if it was kept out
	// StaleSeconds is for how long the version in force was not seen to be the newest.
	StaleSeconds float64           `json:"stale_seconds"`
	Freshness    Freshness         `json:"freshness"`              // what became of its age
	SourceError  string            `json:"source_error,omitempty"` // empty while the source answers
	SourceSince  time.Time         `json:"source_since,omitzero"`  // since when it does not
	StateError   string            `json:"state_error,omitempty"`  // the last version could not be kept
	Rejections   map[Reason]uint64 `json:"rejections_total"`       // versions kept out; a reason without any may lack
}

// Rejected is a version that was kept out.
type Rejected struct {
	Version Version   `json:"version"` // without a number if its head was not believed
	Reason  Reason    `json:"reason"`
	Error   string    `json:"error"` // every fault with its place
	Since   time.Time `json:"since"`
}

// Status returns the account.
func (s *Syncer) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.status
	out.Rejections = maps.Clone(out.Rejections)
	out.Expired = expired(out.Expires, time.Now())
	if out.Rejected != nil {
		r := *out.Rejected
		out.Rejected = &r
	}
	if !s.confirmed.IsZero() {
		out.StaleSeconds = max(0, time.Since(s.confirmed).Seconds())
		if out.SourceError == "" && out.Rejected == nil && !out.LastGood && !out.Freshness.Stale() {
			out.StaleSeconds = 0 // heads are polled: this is the newest
		}
	}
	return out
}

// report passes on what changed of the checks.
func (s *Syncer) report() {
	s.mu.Lock()
	st := s.status
	s.mu.Unlock()
	inForce := st.Version != Version{}
	var build, source string
	switch {
	case st.Rejected != nil:
		build = st.Rejected.Error
	case inForce && expired(st.Expires, time.Now()):
		build = fmt.Sprintf("version %s expired at %s and is still in force; publish a new one", st.Version, st.Expires.Format(time.RFC3339))
	}
	source = st.SourceError
	say := func(check, problem string, whenBad State) {
		now := reported{Running, problem}
		if problem != "" || !inForce && check != CheckStorage {
			now.state = whenBad
		}
		if before, ok := s.reported[check]; ok && before == now {
			return
		}
		s.reported[check] = now
		var err error
		if problem != "" {
			err = textError(problem)
		}
		s.config.Report(check, now.state, err)
	}
	switch {
	case !inForce:
		problem := build
		if problem == "" {
			problem = source
		}
		say(CheckInitial, problem, Starting)
		say(CheckBuild, build, Starting)
	case st.LastGood:
		say(CheckInitial, "started from the last good policy", Degraded)
		say(CheckBuild, build, Degraded)
	default:
		say(CheckInitial, "", Running)
		say(CheckBuild, build, Degraded)
	}
	say(CheckStorage, source, Degraded)
}

type reported struct {
	state   State
	problem string
}

// textError is a problem whose words are already made.
type textError string

func (e textError) Error() string { return string(e) }
