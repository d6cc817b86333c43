package report

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/plan"
	"github.com/sluiceproxy/sluice/bench/lab/record"
)

// ran is a run with n restarts that are proven, in which one second was played.
func ran(n int, play func(r *record.Recorder)) Run {
	rec := record.New(time.Now())
	play(rec)
	run := Build(Input{Summary: rec.Sum(), Ended: time.Now()})
	run.Proxy, run.Version, run.Plan = "sluice", "dev", plan.Sequential
	for range n {
		run.Restarts = append(run.Restarts, plan.Restart{Replica: "a.1", Successor: "a.2", Proven: true})
	}
	return run
}

func end(r *record.Recorder, c record.Class, cause record.Cause) {
	r.End(r.Begin(c, c.String()+"-1", time.Now()), cause, errors.New("why"), false)
}

func TestJudge(t *testing.T) {
	good := func(r *record.Recorder) { end(r, record.Short, record.OK) }
	for _, c := range []struct {
		name   string
		run    func() Run
		limits Limits
		want   int
	}{
		{"good", func() Run { return ran(1, good) }, Limits{}, ExitOK},
		{"lost", func() Run {
			return ran(1, func(r *record.Recorder) { good(r); end(r, record.Short, record.ResetMid) })
		}, Limits{}, ExitLost},
		{"lost, and allowed", func() Run { return ran(1, func(r *record.Recorder) { end(r, record.Short, record.ResetMid) }) }, Limits{MaxLost: 1}, ExitOK},
		{"refused", func() Run { return ran(1, func(r *record.Recorder) { end(r, record.Short, record.Refused) }) }, Limits{}, ExitLost},
		{"refused, by the plan", func() Run {
			r := ran(1, func(r *record.Recorder) { end(r, record.Short, record.NoReplica) })
			r.Plan = plan.AllAtOnce
			return r
		}, Limits{}, ExitOK},
		{"nothing restarted", func() Run { return ran(0, good) }, Limits{}, ExitUnproven},
		{"not proven, and lost", func() Run {
			r := ran(1, func(r *record.Recorder) { end(r, record.Short, record.ResetMid) })
			r.Restarts[0].Proven = false
			return r
		}, Limits{}, ExitUnproven},
		{"a plan that failed", func() Run { r := ran(1, good); r.Error = "no"; return r }, Limits{}, ExitUnproven},
		{"a generator at its bound", func() Run { return ran(1, func(r *record.Recorder) { good(r); r.NotSent() }) }, Limits{}, ExitGenerator},
		{"a lab without descriptors", func() Run { return ran(1, func(r *record.Recorder) { good(r); r.Broken("no descriptors") }) }, Limits{}, ExitGenerator},
		{"a generator that was late", func() Run {
			return ran(1, func(r *record.Recorder) {
				due := time.Now()
				time.Sleep(600 * time.Millisecond)
				r.End(r.Begin(record.Short, "x", due), record.OK, nil, false)
			})
		}, Limits{}, ExitGenerator},
		{"a gap", func() Run {
			return ran(1, func(r *record.Recorder) { good(r); time.Sleep(time.Second); good(r) })
		}, Limits{MaxGap: 900 * time.Millisecond}, ExitLost},
		{"a gap that may be", func() Run {
			return ran(1, func(r *record.Recorder) { good(r); time.Sleep(time.Second); good(r) })
		}, Limits{MaxGap: 1100 * time.Millisecond}, ExitOK},
		{"slow", func() Run {
			return ran(1, func(r *record.Recorder) {
				e := r.Begin(record.KeepAlive, "x", time.Now())
				time.Sleep(time.Second)
				r.End(e, record.OK, nil, false)
			})
		}, Limits{P99: 500 * time.Millisecond}, ExitLost},
		{"executed twice", func() Run { r := ran(1, good); r.ExecutedTwice = []string{"upload-1"}; return r }, Limits{}, ExitLost},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if v := Judge(c.run(), c.limits); v.Exit != c.want || (v.Exit != ExitOK) != (len(v.Reasons) > 0) {
					t.Errorf("verdict %+v, want exit %d", v, c.want)
				}
			})
		})
	}
}

// TestTwice: only what must not be repeated is held against anybody.
func TestTwice(t *testing.T) {
	r := Build(Input{Summary: record.New(time.Now()).Sum(), Twice: []string{"short-1", "upload-7", "keep-alive-3", "idle-1-again"}})
	if got := strings.Join(r.ExecutedTwice, " "); got != "keep-alive-3 upload-7" {
		t.Errorf("%q", got)
	}
}

// TestTables say what was lost, by class and per restart, and who was skipped.
func TestTables(t *testing.T) {
	r := ran(2, func(r *record.Recorder) {
		for range 3 {
			end(r, record.Short, record.ResetBefore)
		}
		end(r, record.Upload, record.OK)
	})
	var b strings.Builder
	Table(&b, r)
	for _, want := range []string{"reset_before_response 3", "restart a.1 -> a.2", "proven", "short  ", "upload  "} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	b.Reset()
	PeersTable(&b, []Run{r, {Proxy: "envoy", Skipped: "envoy is not installed"}})
	for _, want := range []string{"1.5", "envoy: skipped: envoy is not installed", "sluice dev"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
