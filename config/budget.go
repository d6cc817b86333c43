package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/internal/yaml"
)

// closeListeners is how long closing the listeners may take: shedding SYNs and joining
// accept loops and handshakes.
const closeListeners = 3 * time.Second

// phase is one part of a stop.
type phase struct {
	name string
	at   string // the setting that decides; empty: fixed
	d    time.Duration
}

// phases are the parts of the longest possible stop, in order.
func (c *Config) phases() []phase {
	return []phase{
		{"platform.pre_stop", "platform.pre_stop", c.Platform.PreStop},
		{"waiting for a turn in the fleet", "fleet.budget_wait", c.turnWait()},
		{"lame_duck.max", "lame_duck.max", c.LameDuck.Max},
		{"closing listeners", "", closeListeners},
		{"drain.timeout", "drain.timeout", c.Drain.Timeout},
		{"drain.flush", "drain.flush", c.Drain.Flush},
		{"drain.linger", "drain.linger", c.Drain.Linger},
	}
}

// StopBudget is the longest that a stop may take by these settings, from when the platform
// begins it to the exit.
func (c *Config) StopBudget() time.Duration {
	total := time.Duration(0)
	for _, p := range c.phases() {
		total += p.d
	}
	return total
}

// budget refuses a stop that the platform would kill half-way, with the sum that
// shows it. The fault is where the operator wrote something: at platform.stop_timeout,
// or else at the longest phase that is not a default.
func (l *loader) budget() {
	c := &l.cfg
	if p := c.Platform; p.PreStop > 0 && p.PreStop >= p.StopTimeout {
		l.fault(yaml.StopBudget, "platform.pre_stop", "%s leaves nothing of platform.stop_timeout %s: SIGKILL would come before SIGTERM; shorten the hook, or raise platform.stop_timeout", p.PreStop, p.StopTimeout)
		return
	}
	need, have := c.StopBudget(), c.Platform.StopTimeout
	if need <= have {
		return
	}
	at, longest := "platform.stop_timeout", time.Duration(0)
	stated := c.origins[at].Kind != FromDefault
	var sum []string
	for _, p := range c.phases() {
		if p.at != "" && l.isBroken(p.at) {
			return // the sum would be one that nobody wrote
		}
		if !stated && c.origins[p.at].Kind != FromDefault && p.d > longest {
			at, longest = p.at, p.d
		}
		if p.d != 0 || p.at != "platform.pre_stop" && p.at != "fleet.budget_wait" {
			name := p.name
			if p.at != "" {
				name = p.at
			}
			sum = append(sum, fmt.Sprintf("%s %s", name, p.d))
		}
	}
	advice := fmt.Sprintf("raise that to %s (and the platform's own limit with it)", need)
	if rest := c.Drain.Timeout - (need - have); rest > 0 {
		advice += fmt.Sprintf(", or lower drain.timeout to %s", rest)
	}
	l.fault(yaml.StopBudget, at, "a stop takes up to %s = %s, but platform.stop_timeout is %s; %s", need, strings.Join(sum, " + "), have, advice)
}
