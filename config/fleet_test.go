package config

import (
	"os"
	"strings"
	"testing"
	"time"
)

const inEtcd = minimal + "etcd: {endpoints: [\"127.0.0.1:2379\"]}\n"

func TestAFleetIsOffByItself(t *testing.T) {
	c := mustLoad(t, Source{Name: "c", Text: []byte(minimal)})
	if c.Fleet.Enabled || c.LifecycleConfig().TurnWait != 0 || c.StopBudget() != 30*time.Second {
		t.Errorf("%+v, a stop takes %s", c.Fleet, c.StopBudget())
	}
}

// The wait for a turn is a part of the stop: of its budget, its timeline, and of what the process does.
func TestTheWaitForATurnIsInTheBudget(t *testing.T) {
	_, err := Load(Source{Name: "c", Text: []byte(inEtcd + "fleet: {enabled: true}\n")})
	if err == nil || !strings.Contains(err.Error(), "a stop takes up to 1m0s = fleet.budget_wait 30s + lame_duck.max 10s") {
		t.Fatalf("30 s more than fits: %v", err)
	}
	c := mustLoad(t, Source{Name: "c", Text: []byte(inEtcd + "fleet: {enabled: true, budget: 10%, budget_wait: 20s}\nplatform: {stop_timeout: 50s}\n")})
	if got := c.LifecycleConfig(); got.TurnWait != 20*time.Second || got.Budget != 50*time.Second {
		t.Errorf("lifecycle %+v", got)
	}
	if first := c.Timeline()[0]; first.Setting != "fleet.budget_wait" || first.To != 20*time.Second {
		t.Errorf("timeline %+v", first)
	}
	if b := c.FleetBudget(); b.Percent != 10 {
		t.Errorf("budget %+v", b)
	}
	if host, _ := os.Hostname(); c.ReplicaID() != host {
		t.Errorf("called %q on %q", c.ReplicaID(), host)
	}
}

func TestFleetFaults(t *testing.T) {
	for fleet, want := range map[string]string{
		"enabled: true, budget_wait: 0s": `fleet.enabled: needs a store that the fleet shares`,
		"budget: some":                   `fleet.budget: "some" is neither a number of replicas`,
		"budget: 200%":                   `fleet.budget: "200%" is more than all`,
		"id: a/b":                        `fleet.id: "a/b" is not an ID`,
		"ttl: 1s":                        `fleet.ttl: 1s is not from 5s to 10m`,
		"budget_wait: 2h":                `fleet.budget_wait: 2h0m0s is not from 0s to 1h`,
	} {
		_, err := Load(Source{Name: "c", Text: []byte(minimal + "fleet: {" + fleet + "}\n")})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", fleet, err, want)
		}
	}
}

// Replicas of a fleet share their list of revocations unless somebody says otherwise.
func TestAFleetSharesRevocations(t *testing.T) {
	const sessions = "sessions: {key_file: k, revocations: {file: r%s}}\n"
	in := inEtcd + "fleet: {enabled: true, budget_wait: 0s}\n"
	for text, want := range map[string]bool{
		in + strings.Replace(sessions, "%s", "", 1):                             true,
		in + strings.Replace(sessions, "%s", ", fleet: {enabled: false}", 1):    false,
		inEtcd + strings.Replace(sessions, "%s", "", 1):                         false,
		inEtcd + strings.Replace(sessions, "%s", ", fleet: {enabled: true}", 1): true,
	} {
		if got := mustLoad(t, Source{Name: "c", Text: []byte(text)}).Sessions.Revocations.Fleet; got.Enabled != want || got.WhenStale != "warn" || got.MaxStaleness != time.Minute {
			t.Errorf("%s: %+v", text, got)
		}
	}
	for more, want := range map[string]string{
		", fleet: {enabled: true}":     "sessions.revocations.fleet.enabled: needs a store",
		", fleet: {max_staleness: 5s}": "sessions.revocations.fleet.max_staleness: 5s is less than 15s",
	} {
		if _, err := Load(Source{Name: "c", Text: []byte(minimal + strings.Replace(sessions, "%s", more, 1))}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", more, err, want)
		}
	}
}
