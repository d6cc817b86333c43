package policysync

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestFreshnessRule(t *testing.T) {
	fleet := func(replicas, stale int) func() Fleet {
		return func() Fleet { return Fleet{true, replicas, stale} }
	}
	for name, c := range map[string]struct {
		rule FreshnessRule
		age  time.Duration
		want FreshnessState
		says string
	}{
		"off":                          {FreshnessRule{On: Deny}, time.Hour, Fresh, ""},
		"at the limit":                 {FreshnessRule{Max: time.Minute, On: Deny}, time.Minute, Fresh, ""},
		"warn":                         {FreshnessRule{Max: time.Minute}, time.Minute + 1, Warned, "it stays in force (policy.on_stale): no leader"},
		"deny":                         {FreshnessRule{Max: time.Minute, On: Deny}, time.Hour, Denied, "nobody is let in"},
		"unready without a guard":      {FreshnessRule{Max: time.Minute, On: Unready}, time.Hour, NotReady, "this replica is not ready (policy.on_stale)"},
		"nobody knows the fleet":       {FreshnessRule{Max: time.Minute, On: Unready, Guard: 30}, time.Hour, Guarded, "it is not known how many others"},
		"the fleet is not known now":   {FreshnessRule{Max: time.Minute, On: Unready, Guard: 30, Fleet: func() Fleet { return Fleet{Replicas: 10, Stale: 1} }}, time.Hour, Guarded, "not known"},
		"one of ten":                   {FreshnessRule{Max: time.Minute, On: Unready, Guard: 30, Fleet: fleet(10, 1)}, time.Hour, NotReady, "less than 30% of the fleet"},
		"two of ten":                   {FreshnessRule{Max: time.Minute, On: Unready, Guard: 30, Fleet: fleet(10, 2)}, time.Hour, NotReady, ""},
		"three of ten":                 {FreshnessRule{Max: time.Minute, On: Unready, Guard: 30, Fleet: fleet(10, 3)}, time.Hour, Guarded, "30% of the fleet or more are stale"},
		"all":                          {FreshnessRule{Max: time.Minute, On: Unready, Guard: 100, Fleet: fleet(10, 10)}, time.Hour, Guarded, ""},
		"all but one":                  {FreshnessRule{Max: time.Minute, On: Unready, Guard: 100, Fleet: fleet(10, 9)}, time.Hour, NotReady, ""},
		"the only one":                 {FreshnessRule{Max: time.Minute, On: Unready, Guard: 30, Fleet: fleet(1, 1)}, time.Hour, Guarded, ""},
		"others do not know of us yet": {FreshnessRule{Max: time.Minute, On: Unready, Guard: 30, Fleet: fleet(2, 0)}, time.Hour, Guarded, ""},
		"an empty fleet":               {FreshnessRule{Max: time.Minute, On: Unready, Guard: 30, Fleet: fleet(0, 0)}, time.Hour, Guarded, "not known"},
	} {
		got := c.rule.judge(c.age, time.Unix(0, 0), "no leader\nmore")
		if got.State != c.want || !strings.Contains(got.Text, c.says) || (got.Text != "") != got.Stale() || strings.Contains(got.Text, "more") && got.State != Guarded {
			t.Errorf("%s: %s %q, want %s %q", name, got.State, got.Text, c.want, c.says)
		}
	}
}

// stale is a rig whose policy is too old after a minute.
func stale(t *testing.T, on OnStale, change ...func(*Config)) *rig {
	var r *rig
	r = newRig(t, append(change, func(c *Config) {
		c.Fresh.Max, c.Fresh.On = time.Minute, on
		c.Withhold = func(withhold bool) { r.note("withhold %v", withhold) }
	})...)
	return r
}

// only are the notes that begin with any of the words.
func only(log []string, words ...string) (out []string) {
	for _, line := range log {
		if slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(line, w) }) {
			out = append(out, line)
		}
	}
	return out
}

// The store goes away, and comes back: what is said, and what follows, for each way to take it.
func TestStalePolicies(t *testing.T) {
	at := " the policy in force was last seen to be the newest at 2000-01-01T00:00:00Z, longer ago than 1m0s (policy.max_staleness): "
	for on, want := range map[OnStale]struct{ gone, back []string }{
		Warn:    {[]string{"policy.freshness degraded:" + at + "it stays in force (policy.on_stale): no leader"}, []string{"policy.freshness running"}},
		Unready: {[]string{"policy.freshness failing:" + at + "this replica is not ready (policy.on_stale): no leader"}, []string{"policy.freshness running"}},
		Deny: {[]string{"withhold true", "policy.freshness degraded:" + at + "nobody is let in by it (policy.on_stale): no leader"},
			[]string{"withhold false", "policy.freshness running"}},
	} {
		t.Run(on.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := stale(t, on)
				r.source.publish(1, good)
				r.start(t)
				expect(t, only(r.settle(), "policy.freshness", "withhold", "ready"), "policy.freshness running", "ready")
				r.source.fail(errors.New("no leader"))
				time.Sleep(time.Minute)
				expect(t, only(r.settle(), "policy.freshness", "withhold"))
				time.Sleep(10 * time.Second)
				expect(t, only(r.settle(), "policy.freshness", "withhold"), want.gone...)
				if s := r.Status(); s.StaleSeconds < 60 || !s.Freshness.Stale() || s.Version.Number != 1 {
					t.Errorf("%+v", s)
				}
				time.Sleep(time.Hour) // and not a word more
				expect(t, only(r.settle(), "policy.freshness", "withhold"))
				r.source.publish(1, good)
				time.Sleep(10 * time.Second)
				expect(t, only(r.settle(), "policy.freshness", "withhold"), want.back...)
				if s := r.Status(); s.StaleSeconds != 0 || s.Freshness.State != Fresh {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// A publisher's mistake is not the source's: what cannot be used keeps the last good version in force, for good.
func TestRejectedVersionsDoNotMakeStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := stale(t, Deny)
		r.source.publish(1, good)
		r.start(t)
		r.settle()
		r.source.publish(2, bad)
		time.Sleep(time.Hour)
		if got := only(r.settle(), "policy.freshness", "withhold"); len(got) > 0 {
			t.Errorf("%s", got)
		}
		if s := r.Status(); s.Rejected == nil || s.Freshness.State != Fresh {
			t.Errorf("%+v", s)
		}
	})
}

// What is not believed says nothing about what is the newest: whoever may write to the store cannot keep a policy young with it.
func TestUnbelievedHeadsMakeStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := stale(t, Deny)
		r.source.publish(1, good)
		r.start(t)
		r.settle()
		r.source.fail(&Refusal{Reason: BadSignature, Version: Version{Hash: "x"}, Err: errors.New("no signature")})
		time.Sleep(2 * time.Minute)
		if got := only(r.settle(), "withhold"); !slices.Equal(got, []string{"withhold true"}) {
			t.Errorf("%s", got)
		}
	})
}

// hanging is a source that stops to answer.
type hanging struct {
	*memory
	mu    sync.Mutex
	hangs bool
}

func (h *hanging) Head(ctx context.Context) (Head, error) {
	h.mu.Lock()
	hangs := h.hangs
	h.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return Head{}, ctx.Err()
	}
	return h.memory.Head(ctx)
}

// A source that neither answers nor fails, like a file system that is gone, makes a policy no younger.
func TestHangingSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &hanging{memory: newMemory()}
		r := stale(t, Warn, func(c *Config) { c.Source = source })
		source.publish(1, good)
		r.start(t)
		r.settle()
		source.mu.Lock()
		source.hangs = true
		source.mu.Unlock()
		time.Sleep(2 * time.Minute)
		r.settle()
		if s := r.Status(); s.Freshness.State != Warned || s.StaleSeconds < 60 {
			t.Errorf("%+v", s)
		}
	})
}

// A start from the last known good version is as old as that is, and nobody is let in by it for a moment if it is too old.
func TestStaleStart(t *testing.T) {
	for _, on := range []OnStale{Warn, Deny} {
		synctest.Test(t, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			first := newRig(t, func(c *Config) { c.StateDir = dir })
			first.source.publish(1, good)
			first.start(t)
			synctest.Wait()
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Minute)
			r := stale(t, on, func(c *Config) { c.StateDir, c.StartFromLastGood = dir, time.Hour })
			r.start(t)
			want := []string{"policy.freshness degraded", "ready"}
			if on == Deny {
				want = []string{"withhold true", "policy.freshness degraded", "ready"}
			}
			got := only(r.settle(), "policy.freshness", "withhold", "ready")
			for i := range got {
				got[i], _, _ = strings.Cut(got[i], ":")
			}
			expect(t, got, want...)
			if s := r.Status(); s.StaleSeconds < 600 || s.StaleSeconds > 610 {
				t.Errorf("stale for %f", s.StaleSeconds)
			}
		})
	}
}

// The age of what was kept is known by the wall once, and grows by the monotonic clock from then on: what is set on the wall changes nothing.
func TestAgeIsMonotonic(t *testing.T) {
	s := New(Config{Source: newMemory()})
	s.status.LastGood, s.status.Version = true, Version{1, "x"}
	s.confirmed = time.Now().Round(0).Add(-10 * time.Minute)
	s.hear(time.Now(), errors.New("no leader"))
	if !strings.Contains(s.heard.String(), " m=") || s.confirmed != s.heard {
		t.Errorf("heard %s, confirmed %s", s.heard, s.confirmed)
	}
	if age := time.Since(s.heard); age < 10*time.Minute || age > 11*time.Minute {
		t.Errorf("it is %s old", age)
	}
	s = New(Config{Source: newMemory()})
	s.status.LastGood = true
	s.confirmed = time.Now().Round(0).Add(time.Hour) // kept in the future: the clock was set back
	s.hear(time.Now(), errors.New("no leader"))
	if age := time.Since(s.heard); age < 0 || age > time.Minute {
		t.Errorf("it is %s old", age)
	}
}

// frozen is a source on whose head somebody holds everybody: it is past its time.
type frozen struct {
	*memory
	expires time.Time
}

func (f *frozen) Head(ctx context.Context) (Head, error) {
	h, err := f.memory.Head(ctx)
	h.Expires = f.expires
	return h, err
}

// A head that has expired stays in force, and does not count as the newest: on_stale follows.
func TestAnExpiredHeadGrowsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := stale(t, Deny, func(c *Config) {
			m := newMemory()
			m.publish(1, good)
			c.Source = &frozen{m, time.Now().Add(5 * time.Minute)}
		})
		r.start(t)
		r.settle()
		time.Sleep(4 * time.Minute)
		r.settle()
		if got := r.Status().Freshness.State; got != Fresh {
			t.Errorf("before its end: %s", got)
		}
		time.Sleep(3 * time.Minute)
		r.settle()
		if got := r.Status(); got.Freshness.State != Denied || got.Version.Number != 1 {
			t.Errorf("two minutes after its end: %s, version %s", got.Freshness.State, got.Version)
		}
	})
}
