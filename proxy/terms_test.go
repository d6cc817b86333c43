package proxy

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/drain"
)

// What a route says about a drain has to fit into the drain; every fault is told.
func TestDrainClassesFitIntoTheDrain(t *testing.T) {
	doc, err := policy.Parse("p.yaml", []byte(`
clusters: {app: {endpoints: ["127.0.0.1:9000"]}}
routes:
- {name: a, path: {prefix: /a}, cluster: app, drain: {deadline: 20s}}
- {name: b, path: {prefix: /b}, cluster: app, drain: {notice: 11s, deadline: 15s}}
- {name: c, path: {prefix: /c}, cluster: app, drain: {notice: off, order: first}}
tcp_routes:
- {listener: db, cluster: app, drain: {deadline: 1m}}
`))
	if err != nil {
		t.Fatal(err)
	}
	ln := []ListenerConfig{{Name: "db", Protocol: TCP}}
	core := NewCore(Config{Listeners: ln, DrainTimeout: 15 * time.Second, LameDuckMax: 10 * time.Second}, drain.New(drain.Config{}), func(int, any) {})
	err = core.Apply(context.Background(), "v1", doc)
	for _, want := range []string{
		`p.yaml:4:3 error [conflict] route "a": drain.deadline 20s is past that of the drain, drain.timeout 15s; lower it, or raise drain.timeout and platform.stop_timeout`,
		`p.yaml:5:3 error [conflict] route "b": drain.notice 11s is past lame_duck.max 10s: write off, or lower it`,
		`p.yaml:8:3 error [conflict] route "db": drain.deadline 1m0s is past that of the drain`,
		"3 errors",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	core = NewCore(Config{Listeners: ln}, drain.New(drain.Config{}), func(int, any) {})
	snap, err := core.compile("v1", doc)
	if err != nil {
		t.Fatal(err)
	}
	if c := snap.routes[2].terms; c.Notice >= 0 || c.Order != drain.First || c.Deadline != 0 || c.Lives == nil {
		t.Errorf("route c has %+v", c)
	}
	if db := snap.tcp["db"].terms; db.Deadline != time.Minute || db.Lives == nil {
		t.Errorf("tcp route db has %+v", db)
	}
}
