package handover

import (
	"fmt"
	"time"
)

// Version is the policy that a process has in force, as far as two processes can compare.
type Version struct {
	Source    string    `json:"source"`             // where it comes from
	Number    uint64    `json:"number"`             // of the publisher if Ordered, else a count of this process alone
	Hash      string    `json:"hash"`               // empty: none is in force
	Ordered   bool      `json:"ordered"`            // numbers come from the publisher
	Published time.Time `json:"published,omitzero"` // as far as the source knows
	LastGood  bool      `json:"last_good"`          // not from the source: the source did not answer
	Rejected  string    `json:"rejected,omitempty"` // hash of a newer version that this process refused
}

// String is "7 (2c26b46b68ff)", or "none".
func (v Version) String() string {
	switch {
	case v.Hash == "":
		return "none"
	case v.Number == 0:
		return fmt.Sprintf("%.12s", v.Hash)
	}
	return fmt.Sprintf("%d (%.12s)", v.Number, v.Hash)
}

// AtLeast returns nil if v, of a successor, is at least as new as ours, and why not
// otherwise. The hash says whether two versions are the same; which of two is newer is
// known only from a publisher's numbers, from the times of publication, or because we
// have seen the other one come after ours (and refused it: a new program may read what an
// old one does not). What is not known is no.
func (v Version) AtLeast(ours Version) error {
	no := func(why string) error {
		return fmt.Errorf("its policy is version %s, ours is %s: %s", v, ours, why)
	}
	switch {
	case v.Hash == "":
		return no("it has none in force yet")
	case ours.Hash == "" || v.Hash == ours.Hash:
		return nil
	case v.LastGood:
		return no("it started from its last known good version because the source does not answer")
	case v.Source != ours.Source: // the operator pointed it elsewhere: there is no newer
		return nil
	case v.Ordered && ours.Ordered:
		if v.Number > ours.Number {
			return nil
		}
		return no("its number is not higher")
	case v.Hash == ours.Rejected:
		return nil
	case v.Published.After(ours.Published):
		return nil
	}
	return no("it was not published later")
}
