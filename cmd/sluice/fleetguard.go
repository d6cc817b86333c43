package main

import (
	"context"
	"time"

	"github.com/sluiceproxy/sluice/authz/policysync"
	"github.com/sluiceproxy/sluice/internal/fleet"
)

// A replica whose policy is too old may have to know whether the others have the same trouble (policy.fleet_guard). It
// looks at them while that is so, and only then: what it saw a while ago says nothing about now.

// seenFleet is what the store said of all replicas, and when.
type seenFleet struct {
	at    time.Time
	fleet policysync.Fleet
}

// seenFor is how long that counts.
const seenFor = 5 * fleetFacts

// lookAround looks at the others while the policy of this one is stale.
func (f *fleetMember) lookAround(ctx context.Context) {
	tick := time.NewTicker(fleetFacts)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if s := f.app.syncer; s == nil || !s.Status().Freshness.Stale() {
			continue
		}
		call, cancel := context.WithTimeout(ctx, fleet.DefaultCall)
		view, err := f.app.shared.Fleet().Look(call)
		cancel()
		if err == nil {
			f.seen.Store(&seenFleet{time.Now(), staleOf(view, f.app.cfg.ReplicaID())})
		}
	}
}

// staleOf counts who is stale; this one is, whatever it last wrote.
func staleOf(v fleet.View, self string) policysync.Fleet {
	known := policysync.Fleet{Known: true, Replicas: 1, Stale: 1}
	for _, r := range v.Replicas() {
		if r.ID == self {
			continue
		}
		known.Replicas++
		if r.Stale {
			known.Stale++
		}
	}
	return known
}

// others is what is known of the fleet now.
func (f *fleetMember) others() policysync.Fleet {
	if s := f.seen.Load(); s != nil && time.Since(s.at) < seenFor {
		return s.fleet
	}
	return policysync.Fleet{}
}
