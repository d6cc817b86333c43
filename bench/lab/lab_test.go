package lab

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/peers"
	"github.com/sluiceproxy/sluice/bench/lab/plan"
	"github.com/sluiceproxy/sluice/bench/lab/record"
	"github.com/sluiceproxy/sluice/bench/lab/replica"
	"github.com/sluiceproxy/sluice/bench/lab/report"
)

// The lab with a proxy of which it is known what it does: http.Server.Shutdown.

func goProxy(t *testing.T) replica.Launcher {
	t.Helper()
	l, err := peers.Find(peers.GoShutdownCommand, peers.Places{Self: os.Args[0]})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// quick is a run that takes a few seconds.
func quick(t *testing.T, l replica.Launcher, k plan.Kind) Config {
	return Config{Launcher: l, Plan: k, Rate: 150, LameDuck: 300 * time.Millisecond, Drain: 4 * time.Second, Poll: 10 * time.Millisecond,
		Propagation: 50 * time.Millisecond, Warm: 500 * time.Millisecond, Cool: 300 * time.Millisecond, Tell: t.Logf,
		Classes: []record.Class{record.Short, record.PerRequest, record.KeepAlive, record.Slow}}
}

func roll(t *testing.T, cfg Config) report.Run {
	t.Helper()
	if testing.Short() {
		t.Skip("a run takes seconds")
	}
	t.Parallel()
	r, err := Roll(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if r.Total.Sent < 50 {
		t.Fatalf("hardly any load: %d", r.Total.Sent)
	}
	// Whether this machine is busy is no matter of this test.
	r.Generator = report.Generator{Valid: true}
	return r
}

// TestReadinessHonoured: with a lame duck longer than what the balancer needs nobody is
// refused, and every restart is proven.
func TestReadinessHonoured(t *testing.T) {
	r := roll(t, quick(t, goProxy(t), plan.Sequential))
	if r.Total.Refused > 0 || len(r.Restarts) != 2 {
		t.Errorf("%d refused, restarts %+v", r.Total.Refused, r.Restarts)
	}
	for _, one := range r.Restarts {
		if !one.Proven || one.Before.PID == one.After.PID {
			t.Errorf("%+v", one)
		}
	}
	if v := report.Judge(r, report.Limits{MaxLost: r.Total.Lost}); v.Exit != report.ExitOK {
		t.Errorf("verdict %+v", v)
	}
	if len(r.Replicas) != 4 {
		t.Fatalf("replicas %+v", r.Replicas)
	}
	var phases []string
	for _, p := range r.Replicas[0].Phases {
		phases = append(phases, p.Phase)
	}
	if got := strings.Join(phases, " "); got != "starting ready lame_duck draining gone" {
		t.Errorf("phases %q", got)
	}
}

// TestLameDuckTooShort: who is refused, where, in which phase, and that the lame duck is why.
func TestLameDuckTooShort(t *testing.T) {
	cfg := quick(t, goProxy(t), plan.Sequential)
	cfg.LameDuck, cfg.Propagation = 10*time.Millisecond, 400*time.Millisecond
	r := roll(t, cfg)
	if r.Total.Refused == 0 {
		t.Fatalf("nobody was refused: %+v", r.Total)
	}
	if v := report.Judge(r, report.Limits{MaxLost: r.Total.Lost}); v.Exit != report.ExitLost {
		t.Errorf("verdict %+v", v)
	}
	named := 0
	for _, f := range r.Failures {
		if f.Cause != record.Refused.String() {
			continue
		}
		if f.Replica != "a.1" && f.Replica != "b.1" || f.Phase != replica.Draining.String() && f.Phase != replica.Gone.String() {
			t.Errorf("refused by %q, which was %q", f.Replica, f.Phase)
		}
		if strings.Contains(f.Likely, "the lame duck is too short") {
			named++
		}
	}
	if named == 0 {
		t.Errorf("no failure names its cause: %+v", r.Failures)
	}
}

// TestBlindBalancer sends to those that are leaving too.
func TestBlindBalancer(t *testing.T) {
	cfg := quick(t, goProxy(t), plan.Sequential)
	cfg.Blind = true
	if r := roll(t, cfg); r.Total.Refused == 0 {
		t.Errorf("nobody was refused: %+v", r.Total)
	}
}

// TestKill: what is lost is what was in flight when the replica was killed, and the verdict
// holds nothing else against anybody.
func TestKill(t *testing.T) {
	r := roll(t, quick(t, goProxy(t), plan.Kill9))
	inFlight := map[string]bool{}
	for _, one := range r.Restarts {
		if one.KilledAt.IsZero() || !one.Proven {
			t.Errorf("%+v", one)
		}
		for _, id := range one.InFlight {
			inFlight[id] = true
		}
	}
	if r.Total.Lost == 0 || r.Total.Lost != r.Excused {
		t.Errorf("%d lost, %d of them excused", r.Total.Lost, r.Excused)
	}
	slow := 0
	for _, f := range r.Failures {
		if !f.Excused && f.Cause != record.Refused.String() {
			t.Errorf("not excused: %+v; %+v", f, r.Restarts)
		}
		if f.Class == record.Slow.String() && f.Excused {
			// One that was on its way to the replica in the moment of the kill is not in the list.
			if slow++; !inFlight[f.ID] && f.Reached && f.TookMS > 200 {
				t.Errorf("%s was lost, and not in flight: %+v", f.ID, f)
			}
		}
	}
	if slow == 0 {
		t.Error("no slow request was in flight: this test shows nothing")
	}
	if v := report.Judge(r, report.Limits{}); v.Exit != report.ExitOK {
		t.Errorf("verdict %+v", v)
	}
}

// pretender says that it upgrades, and does nothing.
type pretender struct{ replica.Launcher }

type pretending struct{ replica.Instance }

func (p pretender) Start(ctx context.Context, s replica.Spec) (replica.Instance, error) {
	in, err := p.Launcher.Start(ctx, s)
	return pretending{in}, err
}

func (pretending) Upgrade(context.Context) error { return nil }

// TestNotProven: a restart that was none is exit 3, whatever was lost.
func TestNotProven(t *testing.T) {
	r := roll(t, quick(t, pretender{goProxy(t)}, plan.Upgrade))
	v := report.Judge(r, report.Limits{})
	if v.Exit != report.ExitUnproven || len(r.Restarts) != 2 || r.Restarts[0].Proven || r.Restarts[0].Why == "" {
		t.Errorf("verdict %+v, %+v", v, r.Restarts)
	}
}

// TestCannot: a plan that a proxy has not is told, and is no success.
func TestCannot(t *testing.T) {
	r := roll(t, quick(t, goProxy(t), plan.Upgrade))
	if v := report.Judge(r, report.Limits{}); v.Exit != report.ExitUnproven || !strings.Contains(r.Error, replica.ErrCannot.Error()) {
		t.Errorf("verdict %+v, error %q", v, r.Error)
	}
}

// TestNotInstalled is skipped by name.
func TestNotInstalled(t *testing.T) {
	r, err := Roll(t.Context(), Config{Launcher: replica.Sluice{Binary: "/nowhere/sluice"}, Plan: plan.Surge})
	if err != nil || r.Skipped == "" || r.Proxy != "sluice" {
		t.Errorf("%+v, %v", r, err)
	}
}
