//go:build linux

package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/bench/peers/load"
)

// ring is an arena whose only entrant is the floor.
func ring(t *testing.T) *arena {
	t.Helper()
	for _, tool := range []string{"gcc", "taskset"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s here", tool)
		}
	}
	a := &arena{options: options{seconds: 0.1, rounds: 1, peers: []string{"floor"}, modes: []mode{off}}, workers: 1, descriptors: 1000,
		cpus: place(1, runtime.NumCPU()), dir: t.TempDir(), programs: programs{floor: filepath.Join(t.TempDir(), "floor")}}
	if out, err := exec.Command("gcc", "-O1", "-Wall", "-Werror", "-o", a.programs.floor, "floor/floor.c").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var err error
	if a.origin, a.ports, err = startOrigin(t.Context(), a.cpus.others, a.dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.origin.leave)
	return a
}

// The floor forwards every kind of work rightly that it speaks the protocol of, and each sample has what the tables show.
func TestASampleOfEveryKind(t *testing.T) {
	a := ring(t)
	for _, r := range rows() {
		if r.wired() || r.routes > 0 || testing.Short() && r.idle || slices.Contains([]string{"get10", "get8000"}, r.name) {
			continue
		}
		if r.quota {
			b, err := newBox("sluice-peers-test")
			if err != nil {
				t.Logf("%s: no control groups to be had here: %v", r.name, err)
				continue
			}
			if err := b.remove(); err != nil {
				t.Error(err)
			}
		}
		r.load.Conns, r.load.Warm = min(r.load.Conns, 100), 20*time.Millisecond
		s, err := a.take(t.Context(), r, entrant{"floor", off}, 0)
		switch {
		case err != nil:
			t.Errorf("%s: %v", r.name, err)
		case r.idle && s.PSS <= 0, !r.idle && (s.CPU <= 0 || s.Rate <= 0 || s.P99 <= 0 || s.RSS <= 0 || s.Feeders <= 0):
			t.Errorf("%s: %+v", r.name, s)
		}
	}
}

func TestAProxyThatDoesNotStartIsNamed(t *testing.T) {
	a := ring(t)
	a.programs.floor = "/bin/false"
	began := time.Now()
	_, err := a.take(t.Context(), rows()[0], entrant{"floor", off}, 0)
	if err == nil || time.Since(began) > startup/2 {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// The check before a sample knows right from wrong, and does not wait for what has ended.
func TestProves(t *testing.T) {
	a := ring(t)
	p := &process{exited: make(chan struct{})}
	cfg := load.Config{Mode: load.KeepAlive, Addr: at(a.ports[0].http), Size: 1024}
	if err := proves(t.Context(), p, cfg); err != nil {
		t.Error(err)
	}
	cfg.Mode, cfg.Addr = load.Bulk, at(a.ports[0].bulk)
	if err := probeBulk(t.Context(), cfg, make([]byte, 1<<20)); !errors.Is(err, errWrong) {
		t.Errorf("other bytes than expected: %v", err)
	}
	close(p.exited)
	cfg.Mode, cfg.Addr = load.KeepAlive, "127.0.0.1:1"
	if err := proves(t.Context(), p, cfg); err == nil {
		t.Error("a proxy that has ended passes")
	}
}
