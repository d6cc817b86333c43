package lab

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/report"
)

// Roll makes one run. An error is one of the lab: that a plan failed, or that something was
// lost, stands in the run.
func Roll(ctx context.Context, cfg Config) (report.Run, error) {
	cfg = cfg.withDefaults()
	run := report.Run{Plan: cfg.Plan, Settings: settings(cfg)}
	var err error
	if run.Proxy, run.Version, err = who(ctx, cfg); err != nil {
		run.Skipped = err.Error()
		return run, nil
	}
	s, err := newStage(ctx, cfg)
	if err != nil {
		return run, err
	}
	defer s.close()
	if err := s.world.Begin(ctx, cfg.Replicas); err != nil {
		return run, fmt.Errorf("start: %w", err)
	}
	s.play(ctx)
	if ctx.Err() != nil {
		return run, context.Cause(ctx)
	}
	built := report.Build(s.input())
	built.Proxy, built.Version, built.Plan, built.Settings = run.Proxy, run.Version, run.Plan, run.Settings
	if s.failed != nil {
		built.Error = s.failed.Error()
	}
	return built, nil
}

// who is under test. An error: it is not installed.
func who(ctx context.Context, cfg Config) (name, version string, err error) {
	if cfg.Attach != nil {
		return cmp.Or(cfg.Attach.Name, "attached"), "", nil
	}
	version, err = cfg.Launcher.Version(ctx)
	return cfg.Launcher.Name(), version, err
}

func settings(cfg Config) report.Settings {
	b := "readiness"
	switch {
	case cfg.Attach != nil && len(cfg.Attach.Targets) > 0 && !cfg.Attach.Balanced():
		b = "none"
	case cfg.Front != "":
		b = cfg.Front
	case cfg.Blind:
		b = "blind"
	}
	return report.Settings{Replicas: cfg.Replicas, Rate: cfg.Rate, LameDuckMS: cfg.LameDuck.Milliseconds(), DrainMS: cfg.Drain.Milliseconds(),
		PollMS: cfg.Poll.Milliseconds(), PropagationMS: max(cfg.Propagation, 0).Milliseconds(), Balancer: b, Seed: cfg.Seed}
}

// play runs the load around the plan.
func (s *stage) play(ctx context.Context) {
	s.begin(ctx)
	defer s.end()
	if !pause(ctx, s.cfg.Warm) {
		return
	}
	s.restarts, s.failed = s.world.Play(ctx, s.cfg.Plan)
	if s.failed != nil {
		s.cfg.Tell("the plan failed: %v", s.failed)
	}
	if !pause(ctx, s.cfg.Cool) {
		return
	}
	for s.recorder.Load().Now().Sent < s.cfg.Requests && pause(ctx, 100*time.Millisecond) {
	}
}

// pause is load for a while; false: ctx ended it.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
