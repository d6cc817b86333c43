package health_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/health"
)

// The table of the process states: ready in one of them, live in all but the last two.
func TestVerdictsByProcessState(t *testing.T) {
	for _, w := range []struct {
		state                         health.Process
		startup, ready, serving, live bool
	}{
		{health.ProcessStarting, false, false, false, true},
		{health.ProcessServing, true, true, true, true},
		{health.ProcessLameDuck, true, false, true, true},
		{health.ProcessDraining, true, false, false, true},
		{health.ProcessDrained, true, false, false, true},
		{health.ProcessStopped, true, false, false, false},
		{health.ProcessFailed, true, false, false, false},
	} {
		r := health.NewRegistry(health.Config{})
		if w.state != health.ProcessStarting {
			r.SetProcess(health.ProcessServing, "")
		}
		r.SetProcess(w.state, "")
		s := r.Snapshot()
		for probe, want := range map[health.Probe]bool{
			health.Startup: w.startup, health.Ready: w.ready, health.Serving: w.serving, health.Live: w.live,
			health.Probe(99): false,
		} {
			if got := s.Verdict(probe).OK; got != want {
				t.Errorf("%v: %v is %v, want %v", w.state, probe, got, want)
			}
		}
	}
}

// A process that never served has not started, however far it went.
func TestStartupNeedsServingOnce(t *testing.T) {
	r := health.NewRegistry(health.Config{})
	r.SetProcess(health.ProcessDraining, "SIGTERM")
	if r.Snapshot().Verdict(health.Startup).OK {
		t.Error("started without ever serving")
	}
}

// What a check of each class and status does to a process that serves.
func TestVerdictsByCheck(t *testing.T) {
	type want struct{ ready, serving bool }
	for class, byStatus := range map[health.Class]map[health.Status]want{
		health.Required: {
			health.Starting: {false, false}, health.Running: {true, true}, health.Degraded: {true, true},
			health.Terminating: {false, true}, health.Failed: {false, false},
		},
		health.Degradable:    {health.Starting: {true, true}, health.Failed: {true, true}, health.Terminating: {true, true}},
		health.Informational: {health.Starting: {true, true}, health.Failed: {true, true}},
	} {
		for status, w := range byStatus {
			r := health.NewRegistry(health.Config{})
			r.Declare("x", class)
			r.Set("x", status, nil)
			r.SetProcess(health.ProcessServing, "")
			s := r.Snapshot()
			if got := (want{s.Verdict(health.Ready).OK, s.Verdict(health.Serving).OK}); got != w {
				t.Errorf("%v %v: %+v, want %+v", class, status, got, w)
			}
			if !s.Verdict(health.Live).OK || !s.Verdict(health.Startup).OK {
				t.Errorf("%v %v: not live, or not started: no check may do that", class, status)
			}
			if !s.Verdict(health.Ready, "x").OK {
				t.Errorf("%v %v: not ready although excluded", class, status)
			}
		}
	}
}

func TestVerdictNamesItsReasons(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	r := health.NewRegistry(health.Config{Now: func() time.Time { return now }})
	r.Declare(health.PolicySyncInitial, health.Required)
	r.SetProcess(health.ProcessStarting, "waiting for init targets")
	now = now.Add(time.Minute)
	r.Set(health.PolicySyncInitial, health.Starting, errors.New("etcd: no route to host"))
	want := "not ready: Starting since 2030-01-02T03:04:05Z (waiting for init targets); " +
		"policy.sync.initial STARTING since 2030-01-02T03:05:05Z: etcd: no route to host"
	if got := r.Snapshot().Verdict(health.Ready).String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := r.Snapshot().Verdict(health.Startup).String(); !strings.HasPrefix(got, "not started: ") {
		t.Errorf("startup: %q", got)
	}
	r.Set(health.PolicySyncInitial, health.Degraded, errors.New("stale"))
	r.SetProcess(health.ProcessServing, "")
	v := r.Snapshot().Verdict(health.Ready)
	if !v.OK || v.String() != "ok" || len(v.Failing) != 0 || len(v.Warning) != 1 || v.Warning[0].Error != "stale" {
		t.Errorf("verdict %+v", v)
	}
}
