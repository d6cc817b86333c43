package plan

import (
	"fmt"
	"strings"
)

// Kind is a way to restart.
type Kind string

// The plans.
const (
	Sequential   Kind = "sequential"    // one after the other: stopped, then started
	Surge        Kind = "surge"         // one after the other: the new one first
	AllAtOnce    Kind = "all-at-once"   // all stopped, then all started: an outage by design
	Upgrade      Kind = "upgrade"       // in place, one after the other
	UpstreamRoll Kind = "upstream-roll" // the upstream restarts, announced
	ScaleOut     Kind = "scale-out"     // twice as many
	ScaleIn      Kind = "scale-in"      // down to one
	Kill9        Kind = "kill-9"        // one after the other, without notice
	PolicyOutage Kind = "policy-outage" // the source of the policy is away; a new replica waits for it
	SlowSync     Kind = "slow-sync"     // surge, with a policy that comes late
	Attached     Kind = "attached"      // by a command of the user's; not one of Kinds
)

// Kinds are all of them.
func Kinds() []Kind {
	return []Kind{Sequential, Surge, AllAtOnce, Upgrade, UpstreamRoll, ScaleOut, ScaleIn, Kill9, PolicyOutage, SlowSync}
}

// Parse finds a plan by name.
func Parse(name string) (Kind, error) {
	var names []string
	for _, k := range Kinds() {
		if string(k) == name {
			return k, nil
		}
		names = append(names, string(k))
	}
	return "", fmt.Errorf("no plan %q: there are %s", name, strings.Join(names, ", "))
}

// Outage says that there is a time without any replica, by the plan and not by a fault.
func (k Kind) Outage() bool { return k == AllAtOnce }

// Excuses says that what is in flight at the moment of the restart is lost by the plan.
func (k Kind) Excuses() bool { return k == Kill9 }
