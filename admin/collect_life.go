package admin

import (
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/lifecycle"
)

// collectLife reads the state of the process and of its health checks.
func (c *collector) collectLife(e emitter) {
	s := read(c.s.Health)
	for _, state := range health.Processes() {
		e.flag(lifecycleState, state == s.Process.State, state.Label())
	}
	e.flag(ready, c.s.Health != nil && s.Verdict(health.Ready).OK)
	for _, check := range s.Checks {
		for _, status := range statuses() {
			e.flag(checkStatus, status == check.Status, check.Name, statusLabel(status))
		}
		e.value(checkSince, unix(check.Since), check.Name)
	}
	c.edges.add(read(c.s.Transitions))
	for edge, n := range c.edges.counts {
		e.value(lifecycleTransitions, float64(n), edge.from.Label(), edge.to.Label())
	}
}

// statuses are the values of the label status.
func statuses() []health.Status {
	return []health.Status{health.Starting, health.Running, health.Degraded, health.Terminating, health.Failed}
}

// statusLabel is a status as the lifecycle's labels are written: in snake_case.
func statusLabel(s health.Status) string {
	switch s {
	case health.Starting:
		return "starting"
	case health.Running:
		return "running"
	case health.Degraded:
		return "degraded"
	case health.Terminating:
		return "terminating"
	case health.Failed:
		return "failed"
	}
	return "unknown"
}

// edge is a transition without its time.
type edge struct{ from, to lifecycle.State }

// edges counts transitions. The log of lifecycle forgets the oldest, so they are counted
// as they are seen.
type edges struct {
	counts map[edge]uint64
	last   lifecycle.Transition // the latest that was counted
}

// newEdges knows every edge of the diagram of lifecycle.State.
func newEdges() edges {
	e := edges{counts: make(map[edge]uint64)}
	for from, tos := range map[lifecycle.State][]lifecycle.State{
		lifecycle.Starting: {lifecycle.Serving, lifecycle.Draining},
		lifecycle.Serving:  {lifecycle.LameDuck, lifecycle.Draining},
		lifecycle.LameDuck: {lifecycle.Serving, lifecycle.Draining},
		lifecycle.Draining: {lifecycle.Drained, lifecycle.Stopped, lifecycle.Failed},
		lifecycle.Drained:  {lifecycle.Stopped, lifecycle.Failed},
	} {
		for _, to := range tos {
			e.counts[edge{from, to}] = 0
		}
	}
	return e
}

// add counts what in the log is later than what was counted.
func (e *edges) add(log []lifecycle.Transition) {
	fresh := log
	for i := len(log) - 1; i >= 0; i-- {
		if log[i] == e.last {
			fresh = log[i+1:]
			break
		}
	}
	for _, t := range fresh {
		e.counts[edge{t.From, t.To}]++
		e.last = t
	}
}
