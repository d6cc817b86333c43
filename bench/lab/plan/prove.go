package plan

import (
	"context"
	"fmt"
	"time"
)

// prove looks whether a restart really happened: the process that answers is another one,
// and it has carried a connection. That the old one is gone the plan has seen.
func (w *World) prove(ctx context.Context, r *Restart) {
	switch {
	case r.Successor == "":
		r.Why = "nobody took its place"
	case r.After.PID == 0 && r.After.Said == "":
		r.Why = "the new process does not say who it is"
	case r.Replica != "" && r.After.Same(r.Before):
		r.Why = fmt.Sprintf("before and after it is %s", r.Before)
	case !w.carried(ctx, r.Successor):
		r.Why = r.Successor + " has carried no connection"
	default:
		r.Proven = true
	}
}

// carried waits for the first connection of a replica, which a load brings soon.
func (w *World) carried(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for w.cfg.Balancer.Carried(name) == 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
