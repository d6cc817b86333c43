package fleet

import (
	"cmp"
	"encoding/json"
	"slices"
)

// Entry is a key of the store, as it was read.
type Entry struct {
	Kind    Kind
	ID      string
	Value   []byte
	Lease   LeaseID
	Created int64 // the store's order: of two keys the one with the lower number was there first; it outlives changes of the value
}

// View is what the store held at one moment.
type View struct {
	Revision int64
	Entries  []Entry
}

// Seat is a claim in the order in which it counts.
type Seat struct {
	Claim
	Lease   LeaseID
	Created int64
}

// Replicas returns who there is, by ID. What cannot be read is left out: it was written by a later version.
func (v View) Replicas() (list []Replica) {
	for _, e := range v.Entries {
		var r Replica
		if e.Kind == Replicas && json.Unmarshal(e.Value, &r) == nil {
			r.ID = e.ID
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b Replica) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// Line returns the claims in the order in which they count: who is away first, then who waits, each as they came. What
// cannot be read is away: nobody knows better.
func (v View) Line() (line []Seat) {
	for _, e := range v.Entries {
		if e.Kind != Drains {
			continue
		}
		s := Seat{Lease: e.Lease, Created: e.Created}
		if json.Unmarshal(e.Value, &s.Claim) != nil || s.Phase == "" {
			s.Claim = Claim{Phase: PhaseAway}
		}
		s.ID = e.ID
		line = append(line, s)
	}
	slices.SortFunc(line, func(a, b Seat) int {
		if x, y := a.Phase == PhaseWaiting, b.Phase == PhaseWaiting; x != y {
			if y {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Created, b.Created)
	})
	return line
}

// Size is how many replicas there are, with those that are away.
func (v View) Size() int {
	ids := map[string]bool{}
	for _, e := range v.Entries {
		ids[e.ID] = true
	}
	return len(ids)
}

// Turn reports whether the claim of that ID and lease may leave, and how many are before it; -1: it is not in the line.
//
// Invariant: of all who are told yes and are away still, there are never more than the budget. Who waits is told yes only
// if less than the budget are before it in the line; who comes later is behind it; and the line is the same for everybody
// who reads that revision.
func (v View) Turn(id string, lease LeaseID, b Budget) (mayLeave bool, before int) {
	for i, s := range v.Line() {
		if s.ID == id && s.Lease == lease {
			return i < b.Of(v.Size()), i
		}
	}
	return false, -1
}
