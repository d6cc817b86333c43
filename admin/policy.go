package admin

import (
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/authz/policysync"
)

// Policy is what is told about the policy in force and the one kept out, if any.
type Policy struct {
	Source       string            `json:"source,omitempty"`
	Version      string            `json:"version"` // in force; empty: none is
	Hash         string            `json:"hash,omitempty"`
	Applied      time.Time         `json:"applied_at,omitzero"`
	Stages       map[string]string `json:"stages,omitempty"`        // the version that each stage enforces
	LastGood     bool              `json:"last_known_good"`         // it came from the state directory, not from the source
	StaleSeconds float64           `json:"stale_seconds"`           // for how long it was not seen to be the newest
	Freshness    string            `json:"freshness,omitempty"`     // what became of its age: none, fresh, warned, guarded, unready, denied; empty: there is no limit
	FreshnessWhy string            `json:"freshness_why,omitempty"` // in the words of the check policy.freshness
	Expires      time.Time         `json:"expires_at,omitzero"`     // the version in force; never, if there is none
	Expired      bool              `json:"expired"`                 // it is in force still, and nobody would apply it any more
	Rejected     *Rejected         `json:"rejected,omitempty"`      // the newest version, if it is kept out
	Rejections   map[string]uint64 `json:"rejections_total"`        // versions kept out, by reason
	SourceError  string            `json:"source_error,omitempty"`  // empty while the source answers
}

// Rejected is a version that is kept out.
type Rejected struct {
	Version string    `json:"version"` // 0 if its head was not believed
	Hash    string    `json:"hash,omitempty"`
	Reason  string    `json:"reason"` // a word: sluice explain has it
	Error   string    `json:"error"`  // every fault with its place
	Since   time.Time `json:"since,omitzero"`
}

// InForce reports whether a policy is in force.
func (p Policy) InForce() bool { return p.Version != "" }

// PolicyOf is the account of a syncer in the form of this package.
func PolicyOf(s policysync.Status) Policy {
	p := Policy{
		Source: s.Source, Applied: s.Applied, LastGood: s.LastGood, StaleSeconds: s.StaleSeconds,
		Freshness: string(s.Freshness.State), FreshnessWhy: s.Freshness.Text,
		Expires: s.Expires, Expired: s.Expired, Rejections: map[string]uint64{}, SourceError: s.SourceError,
	}
	for _, r := range policysync.Reasons() {
		p.Rejections[string(r)] = s.Rejections[r]
	}
	if s.Version != (policysync.Version{}) {
		p.Version, p.Hash = strconv.FormatUint(s.Version.Number, 10), s.Version.Hash
	}
	if r := s.Rejected; r != nil {
		p.Rejected = &Rejected{
			Version: strconv.FormatUint(r.Version.Number, 10), Hash: r.Version.Hash, Reason: string(r.Reason), Error: r.Error, Since: r.Since,
		}
	}
	return p
}
