package config

import (
	"os"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/internal/fleet"
	"github.com/sluiceproxy/sluice/internal/yaml"
)

// maxFleetID bounds fleet.id, in bytes: it is part of keys.
const maxFleetID = 253

// fleet checks what a replica says of itself, if it is one of a fleet.
func (l *loader) fleet() {
	f := l.cfg.Fleet
	if f.Budget != "" {
		if _, err := fleet.ParseBudget(f.Budget); err != nil {
			l.fault(yaml.BadValue, "fleet.budget", "%v", err)
		}
	}
	if strings.Trim(f.ID, idCharacters) != "" || len(f.ID) > maxFleetID {
		l.fault(yaml.BadValue, "fleet.id", "%q is not an ID: use at most %d of letters, digits, '-', '_', '.' and ':'", f.ID, maxFleetID)
	}
	if f.TTL < 5*time.Second || f.TTL > 10*time.Minute {
		l.fault(yaml.OutOfRange, "fleet.ttl", "%s is not from 5s to 10m", f.TTL)
	}
	if f.BudgetWait < 0 || f.BudgetWait > time.Hour {
		l.fault(yaml.OutOfRange, "fleet.budget_wait", "%s is not from 0s to 1h", f.BudgetWait)
	}
	if f.Enabled && !l.cfg.Etcd.On() {
		l.fault(yaml.Required, "fleet.enabled", "needs a store that the fleet shares: name etcd.endpoints")
	}
}

const idCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:"

// ReplicaID is what this replica is called in its fleet: fleet.id, or the name of the host.
func (c *Config) ReplicaID() string {
	if c.Fleet.ID != "" {
		return c.Fleet.ID
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "localhost"
	}
	return host
}

// FleetBudget is fleet.budget, which was checked.
func (c *Config) FleetBudget() fleet.Budget {
	b, _ := fleet.ParseBudget(c.Fleet.Budget)
	return b
}

// turnWait is how long a stop may wait for its turn.
func (c *Config) turnWait() time.Duration {
	if !c.Fleet.Enabled {
		return 0
	}
	return c.Fleet.BudgetWait
}
