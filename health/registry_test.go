package health_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sluiceproxy/sluice/health"
)

func TestSinceIsOfTheLastEdge(t *testing.T) {
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	now := start
	r := health.NewRegistry(health.Config{Now: func() time.Time { return now }})
	since := func() time.Duration {
		c, ok := r.Snapshot().Check("x")
		if !ok {
			t.Fatal("no check x")
		}
		return c.Since.Sub(start)
	}
	for _, step := range []struct {
		status health.Status
		err    error
		want   time.Duration
	}{
		{health.Starting, nil, 1 * time.Second},
		{health.Starting, nil, 1 * time.Second}, // nothing new
		{health.Starting, errors.New("a"), 3 * time.Second},
		{health.Starting, errors.New("a"), 3 * time.Second},
		{health.Running, nil, 5 * time.Second},
	} {
		now = now.Add(time.Second)
		r.Set("x", step.status, step.err)
		if got := since(); got != step.want {
			t.Errorf("%v %v: since %v, want %v", step.status, step.err, got, step.want)
		}
	}
	now = now.Add(time.Second)
	r.Set("x", health.Running, nil, health.Attr{Key: "version", Value: "17"})
	r.Declare("x", health.Degradable)
	if got := since(); got != 5*time.Second {
		t.Errorf("attributes or class moved since to %v", got)
	}
	c, _ := r.Snapshot().Check("x")
	if c.Class != health.Degradable || len(c.Attrs) != 1 {
		t.Errorf("check %+v", c)
	}
}

func TestUndeclaredIsInformational(t *testing.T) {
	r := health.NewRegistry(health.Config{})
	r.Set("who", health.Failed, nil)
	if c, _ := r.Snapshot().Check("who"); c.Class != health.Informational {
		t.Errorf("class %v", c.Class)
	}
	if _, ok := r.Snapshot().Check("nobody"); ok {
		t.Error("found a check that is not there")
	}
}

func TestRecordsAreBounded(t *testing.T) {
	r := health.NewRegistry(health.Config{})
	r.Set("x", health.Failed, errors.New(strings.Repeat("ü", 5000)), make([]health.Attr, 100)...)
	c, _ := r.Snapshot().Check("x")
	if len(c.Error) > 1<<10+3 || !utf8.ValidString(c.Error) || len(c.Attrs) != 16 {
		t.Errorf("error of %d bytes, %d attributes", len(c.Error), len(c.Attrs))
	}
}

// A snapshot is a copy: what the caller passed or got may change without harm.
func TestSnapshotSharesNothingThatChanges(t *testing.T) {
	r := health.NewRegistry(health.Config{})
	attrs := []health.Attr{{Key: "a", Value: "1"}}
	r.Set("x", health.Running, nil, attrs...)
	attrs[0].Value = "2"
	before := r.Snapshot()
	r.Set("x", health.Failed, nil)
	if c, _ := before.Check("x"); c.Status != health.Running || c.Attrs[0].Value != "1" {
		t.Errorf("check %+v", c)
	}
}

// The JSON form: attributes keep the [{"Key","Value"}] shape that monitoring for
// Pomerium already parses.
func TestReportGolden(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	r := health.NewRegistry(health.Config{Now: func() time.Time { return now }})
	r.Declare(health.StorageBackend, health.Degradable)
	r.Declare(health.ProxyRoute, health.Required)
	r.Declare(health.PolicySyncInitial, health.Required)
	r.Set(health.StorageBackend, health.Degraded, errors.New("no leader"), health.Attr{Key: "backend", Value: "etcd"})
	r.Set(health.PolicySyncInitial, health.Running, nil)
	r.SetProcess(health.ProcessLameDuck, "SIGTERM")
	for naming, want := range map[health.Naming]string{
		health.OurNames: `{"process":{"state":"lame_duck","since":"2030-01-02T03:04:05Z","reason":"SIGTERM","started":false},` +
			`"statuses":{"policy.sync.initial":{"class":"required","status":"RUNNING","since":"2030-01-02T03:04:05Z"},` +
			`"proxy.route":{"class":"required","status":"STARTING","since":"2030-01-02T03:04:05Z"},` +
			`"storage.backend":{"class":"degradable","status":"DEGRADED","since":"2030-01-02T03:04:05Z","error":"no leader","attributes":[{"Key":"backend","Value":"etcd"}]}},` +
			`"checks":["policy.sync.initial","proxy.route"]}`,
		health.PomeriumNames: `{"process":{"state":"lame_duck","since":"2030-01-02T03:04:05Z","reason":"SIGTERM","started":false},` +
			`"statuses":{"databroker.sync.initial":{"class":"required","status":"RUNNING","since":"2030-01-02T03:04:05Z"},` +
			`"storage.backend":{"class":"degradable","status":"DEGRADED","since":"2030-01-02T03:04:05Z","error":"no leader","attributes":[{"Key":"backend","Value":"etcd"}]},` +
			`"xds.route-configuration":{"class":"required","status":"STARTING","since":"2030-01-02T03:04:05Z"}},` +
			`"checks":["databroker.sync.initial","xds.route-configuration"]}`,
	} {
		b, err := json.Marshal(r.Snapshot().Report(naming))
		if err != nil {
			t.Fatal(err)
		}
		if string(b) != want {
			t.Errorf("got  %s\nwant %s", b, want)
		}
		var back health.Report
		if err := json.Unmarshal(b, &back); err != nil || back.Process.State != health.ProcessLameDuck {
			t.Errorf("came back as %+v, %v", back, err)
		}
	}
}

// Labels of metrics: every state has one, no two the same.
func TestProcessLabels(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range health.Processes() {
		if p.Label() == "unknown" || seen[p.Label()] {
			t.Errorf("label %q of %v", p.Label(), p)
		}
		seen[p.Label()] = true
	}
	if len(seen) != 7 {
		t.Errorf("%d states, want 7", len(seen))
	}
}
