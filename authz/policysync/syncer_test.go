package policysync

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/authz/policy"
)

const (
	good  = "clusters: {app: {endpoints: ['h:1']}}\nroutes: [{name: a, cluster: app}]\n"
	good2 = "clusters: {app: {endpoints: ['h:2']}}\nroutes: [{name: b, cluster: app}]\n"
	bad   = "clusters: {app: {endpoints: ['h:1']}}\nroutes: [{name: a, clutser: app, cluster: app}]\n"
)

// memory is a source whose every answer the test sets.
type memory struct {
	mu      sync.Mutex
	head    Head
	err     error
	objects map[string][]byte
	hints   chan struct{}
	heads   int // calls of Head
}

func newMemory() *memory {
	return &memory{err: fmt.Errorf("%w: memory is empty", ErrNoPolicy), objects: map[string][]byte{}}
}

func (m *memory) Name() string { return "memory" }

func (m *memory) Head(context.Context) (Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heads++
	return m.head, m.err
}

func (m *memory) Fetch(_ context.Context, hash string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b, ok := m.objects[hash]; ok {
		return b, nil
	}
	return nil, ErrGone
}

func (m *memory) Watch(ctx context.Context, _ Version) (<-chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hints == nil {
		return nil, errors.New("cannot watch")
	}
	out := make(chan struct{})
	in := m.hints
	go func() { // ends with ctx; joined by the close of out
		defer close(out)
		for {
			select {
			case <-ctx.Done():
				return
			case <-in:
				select {
				case out <- struct{}{}:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return out, nil
}

// publish makes text the policy, as version n; change may alter the head.
func (m *memory) publish(n uint64, text string, change ...func(*Head)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	hash := hashOf([]byte(text))
	m.objects[hash] = []byte(text)
	m.head = Head{Version: Version{n, hashOf(fmt.Append(nil, n, hash))}, Objects: []Object{{"p.yaml", hash}}}
	for _, c := range change {
		c(&m.head)
	}
	m.err = nil
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// rig is a syncer with a journal of all that it does.
type rig struct {
	*Syncer
	source *memory
	mu     sync.Mutex
	log    []string
	refuse error // of Apply
}

func newRig(t *testing.T, change ...func(*Config)) *rig {
	r := &rig{source: newMemory()}
	config := Config{
		Source: r.source,
		Apply: func(_ context.Context, v Version, d *policy.Document) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.log = append(r.log, fmt.Sprintf("apply %d %s", v.Number, d.Routes[0].Name))
			return r.refuse
		},
		Target: r,
		Report: func(check string, s State, err error) {
			if err != nil {
				r.note("%s %s: %s", check, s, firstLine(err))
			} else {
				r.note("%s %s", check, s)
			}
		},
	}
	for _, c := range change {
		c(&config)
	}
	r.Syncer = New(config)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *rig) Ready()            { r.note("ready") }
func (r *rig) Waiting(err error) { r.note("waiting: %s", firstLine(err)) }

// settle lets the syncer do all it can and returns what it did since the last time.
func (r *rig) settle() []string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.log
	r.log = nil
	return out
}

func (r *rig) start(t *testing.T) {
	t.Helper()
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

const unknownKey = `p.yaml:2:20 error [unknown-key] unknown key "clutser" in routes[0]; did you mean "cluster"?`

// Absent, then broken, then good: the target waits with the reason, and no time opens.
func TestNotReadyBeforeAPolicyIsInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(t)
		expect(t, r.settle(),
			"waiting: reading the first policy from memory",
			"policy.sync.initial starting: there is no policy: memory is empty",
			"policy.build starting",
			"storage.backend degraded: there is no policy: memory is empty",
			"waiting: there is no policy: memory is empty")
		time.Sleep(24 * time.Hour)
		if got := r.settle(); slices.Contains(got, "ready") || r.Status().Version != (Version{}) {
			t.Errorf("time alone opened: %s", got)
		}
		r.source.publish(1, bad)
		time.Sleep(time.Minute)
		got := r.settle()
		if len(got) < 4 || got[3] != "waiting: "+unknownKey || slices.Contains(got, "ready") {
			t.Errorf("got\n\t%s", strings.Join(got, "\n\t"))
		}
		r.source.publish(2, good)
		time.Sleep(time.Minute)
		expect(t, r.settle(),
			"apply 2 a",
			"policy.sync.initial running",
			"policy.build running",
			"ready")
		if s := r.Status(); s.Version.Number != 2 || s.Rejected != nil || s.StaleSeconds != 0 || s.Rejections[Unreadable] != 1 || len(s.Rejections) != 1 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestARejectedVersionIsKeptOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.source.publish(1, good)
		r.start(t)
		expect(t, r.settle()[1:], "apply 1 a", "policy.sync.initial running", "policy.build running", "storage.backend running", "ready")
		r.source.publish(2, bad)
		time.Sleep(30 * time.Second)
		expect(t, r.settle(), "policy.build degraded: "+unknownKey)
		s := r.Status()
		if s.Version.Number != 1 || s.Rejected == nil || s.Rejected.Version.Number != 2 || s.StaleSeconds < 15 ||
			!strings.HasPrefix(s.Rejected.Error, unknownKey+"\n") || s.Rejections[Unreadable] != 1 || len(s.Rejections) != 1 {
			t.Errorf("status %+v", s)
		}
		// The same words for who asks, and each asking tries again.
		if err := r.Reload(t.Context()); err == nil || err.Error() != s.Rejected.Error {
			t.Errorf("reload: %v", err)
		}
		if again := r.Status().Rejected; again.Since != s.Rejected.Since {
			t.Errorf("since %v, then %v", s.Rejected.Since, again.Since)
		}
		r.source.publish(1, good) // the publisher takes it back
		time.Sleep(30 * time.Second)
		expect(t, r.settle(), "policy.build running")
		if s := r.Status(); s.Rejected != nil || s.StaleSeconds != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestApplyCanRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.refuse = errors.New("listener db does not exist")
		r.source.publish(1, good)
		r.start(t)
		time.Sleep(time.Hour)
		got := r.settle()
		if n := strings.Count(strings.Join(got, "\n"), "apply"); n != 1 {
			t.Errorf("a refused version was tried %d times", n)
		}
		if !slices.Contains(got, "waiting: listener db does not exist") || slices.Contains(got, "ready") {
			t.Errorf("got %s", got)
		}
		r.mu.Lock()
		r.refuse = nil
		r.mu.Unlock()
		if err := r.Reload(t.Context()); err != nil {
			t.Error(err)
		}
		if got := r.settle(); !slices.Contains(got, "ready") {
			t.Errorf("got %s", got)
		}
	})
}

func TestHintsAndPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.source.hints = make(chan struct{})
		r.source.publish(1, good)
		r.start(t)
		r.settle()
		time.Sleep(paceGood)
		r.source.publish(2, good2)
		r.source.hints <- struct{}{}
		expect(t, r.settle(), "apply 2 b")
		r.source.publish(3, good)
		time.Sleep(10*time.Second - time.Millisecond)
		expect(t, r.settle())
		time.Sleep(time.Millisecond)
		expect(t, r.settle(), "apply 3 a")
	})
}

func TestASourceThatFailsIsOutlived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.source.publish(1, good)
		r.start(t)
		r.settle()
		r.source.fail(errors.New("connection refused"))
		time.Sleep(5 * time.Minute)
		expect(t, r.settle(), "storage.backend degraded: connection refused")
		s := r.Status()
		if s.Version.Number != 1 || s.SourceError != "connection refused" || s.StaleSeconds != 300 || time.Since(s.SourceSince) != 290*time.Second {
			t.Errorf("status %+v", s)
		}
		if err := r.Reload(t.Context()); err == nil || err.Error() != "connection refused" {
			t.Errorf("reload: %v", err)
		}
		r.source.publish(1, good)
		time.Sleep(10 * time.Second)
		expect(t, r.settle(), "storage.backend running")
		if s := r.Status(); s.SourceError != "" || s.StaleSeconds != 0 || !s.SourceSince.IsZero() {
			t.Errorf("status %+v", s)
		}
	})
}

// An empty directory, or a head that vanished, is no order to drop the policy.
func TestAVanishedPolicyIsOutlived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.source.publish(1, good)
		r.start(t)
		r.settle()
		r.source.fail(ErrNoPolicy)
		time.Sleep(time.Minute)
		expect(t, r.settle(), "storage.backend degraded: there is no policy")
		if r.Status().Version.Number != 1 {
			t.Error("the policy was dropped")
		}
	})
}

func TestHeadsThatAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name    string
		publish func(*memory)
		want    string
	}{
		{"rollback", func(m *memory) { m.publish(4, good2, ordered) }, "is older than version 5, which was applied before"},
		{"twice the number", func(m *memory) { m.publish(5, good2, ordered) }, "that was applied before; publish under a new number"},
		{"expired", func(m *memory) {
			m.publish(6, good2, ordered, func(h *Head) { h.Expires = time.Now() })
		}, "expired at 2000-01-01T00:00:00Z; publish a new one"},
		{"wrong object", func(m *memory) {
			m.publish(6, good2, ordered)
			m.objects[m.head.Objects[0].Hash] = []byte(good)
		}, "fetch p.yaml: its hash is"},
		{"missing object", func(m *memory) {
			m.publish(6, good2, ordered)
			clear(m.objects)
		}, "fetch p.yaml: the object is gone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.source.publish(5, good, ordered)
				r.start(t)
				r.settle()
				tt.publish(r.source)
				err := r.Reload(t.Context())
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %s", err, tt.want)
				}
				if s := r.Status(); s.Version.Number != 5 || (s.Rejected == nil) == (s.SourceError == "") {
					t.Errorf("status %+v", s)
				}
				if got := strings.Join(r.settle(), "\n"); strings.Contains(got, "apply") {
					t.Errorf("got %s", got)
				}
				r.source.publish(6, good2, ordered)
				if err := r.Reload(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A file that is being written is not read until it keeps still.
func TestUnsettledHeadsAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		unsettled := func(h *Head) { h.Unsettled = true }
		r.source.publish(1, "clusters: {}\n", unsettled)
		r.start(t)
		r.settle()
		for i := range uint64(5) { // it grows
			time.Sleep(90 * time.Millisecond)
			r.source.publish(2+i, "clusters: {}\n", unsettled)
		}
		r.source.publish(9, good, unsettled)
		expect(t, r.settle())
		time.Sleep(250 * time.Millisecond)
		if got := r.settle(); len(got) == 0 || got[0] != "apply 9 a" {
			t.Errorf("got %s", got)
		}
	})
}

func TestSyncGoesOnDuringADrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.source.publish(1, good)
		ctx, cancel := context.WithCancel(t.Context())
		if err := r.Start(ctx); err != nil {
			t.Fatal(err)
		}
		cancel() // the context of Start is dead after it
		if err := r.Admit(); err != nil {
			t.Error(err)
		}
		r.settle()
		r.LameDuck()
		if err := r.Drain(ctx); err != nil {
			t.Error(err)
		}
		r.source.publish(2, good2)
		time.Sleep(10 * time.Second)
		expect(t, r.settle(), "apply 2 b")
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		r.source.publish(3, good)
		time.Sleep(time.Minute)
		expect(t, r.settle())
		if err := r.Reload(t.Context()); !errors.Is(err, ErrNotRunning) {
			t.Errorf("reload after close: %v", err)
		}
	})
}

func TestCloseCutsWhatIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		entered := make(chan struct{})
		r := newRig(t, func(c *Config) {
			c.Apply = func(ctx context.Context, _ Version, _ *policy.Document) error {
				close(entered)
				<-ctx.Done()
				return ctx.Err()
			}
		})
		r.source.publish(1, good)
		r.start(t)
		<-entered
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if s := r.Status(); s.Rejected != nil || s.Version != (Version{}) {
			t.Errorf("closing was taken for a verdict: %+v", s)
		}
	})
}

func TestALifeHasOneStart(t *testing.T) {
	r := newRig(t)
	if err := r.Reload(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("reload before start: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("close before start: %v", err)
	}
	r.start(t)
	if err := r.Start(t.Context()); err == nil {
		t.Error("started twice")
	}
}

// keepIn lets a syncer keep its versions in dir.
func keepIn(dir string, maxAge time.Duration) func(*Config) {
	return func(c *Config) { c.StateDir, c.StartFromLastGood = dir, maxAge }
}

func TestStartFromLastGood(t *testing.T) {
	for _, tt := range []struct {
		name   string
		maxAge time.Duration
		after  time.Duration
		damage func(t *testing.T, file string)
		source func(*memory)
		ready  bool
	}{
		{name: "source down", maxAge: time.Hour, after: time.Minute, ready: true},
		{name: "source broken", maxAge: time.Hour, after: time.Minute, source: func(m *memory) { m.publish(8, bad) }, ready: true},
		{name: "not opted in", after: time.Minute},
		{name: "too old", maxAge: time.Hour, after: time.Hour + time.Second},
		{name: "from the future", maxAge: time.Hour, after: time.Minute, damage: func(t *testing.T, file string) { edit(t, file, "2000-", "2001-") }},
		{name: "damaged", maxAge: time.Hour, after: time.Minute, damage: func(t *testing.T, file string) { edit(t, file, "h:1", "h:9") }},
		{name: "truncated", maxAge: time.Hour, after: time.Minute, damage: func(t *testing.T, file string) {
			if err := os.Truncate(file, 40); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "missing", maxAge: time.Hour, after: time.Minute, damage: func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "state")
				before := newRig(t, keepIn(dir, 0))
				before.source.publish(7, good)
				before.start(t)
				before.settle()
				if err := before.Close(); err != nil || before.Status().StateError != "" {
					t.Fatal(err, before.Status().StateError)
				}
				time.Sleep(tt.after)
				if tt.damage != nil {
					tt.damage(t, filepath.Join(dir, lastGoodFile))
				}
				r := newRig(t, keepIn(dir, tt.maxAge))
				if tt.source != nil {
					tt.source(r.source)
				}
				r.start(t)
				got := r.settle()
				if ready := slices.Contains(got, "ready"); ready != tt.ready {
					t.Fatalf("ready = %v\n\t%s", ready, strings.Join(got, "\n\t"))
				}
				if !tt.ready {
					return
				}
				s := r.Status()
				if !s.LastGood || s.Version.Number != 7 || s.StaleSeconds != tt.after.Seconds() || (s.Rejected == nil) == (s.SourceError == "") {
					t.Errorf("status %+v", s)
				}
				if !slices.Contains(got, "policy.sync.initial degraded: started from the last good policy") {
					t.Errorf("got\n\t%s", strings.Join(got, "\n\t"))
				}
				r.source.publish(9, good2)
				time.Sleep(time.Minute)
				if got := r.settle(); !slices.Contains(got, "apply 9 b") || r.Status().LastGood {
					t.Errorf("got %s", got)
				}
			})
		})
	}
}

func edit(t *testing.T, file, old, new string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(b), old) {
		t.Fatal(err, old)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(b), old, new)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRollbackIsRefusedAcrossARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		before := newRig(t, keepIn(dir, 0))
		before.source.publish(7, good, ordered)
		before.start(t)
		before.settle()
		if err := before.Close(); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, keepIn(dir, 0))
		r.source.publish(6, good2, ordered)
		r.start(t)
		if got := strings.Join(r.settle(), "\n"); strings.Contains(got, "ready") || !strings.Contains(got, "is older than version 7") {
			t.Errorf("got %s", got)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != 3 { // and the lock
			t.Errorf("files left: %v, %v", left, err)
		}
	})
}

func TestAStateDirectoryThatFailsDoesNotStopTheSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, keepIn(filepath.Join(file, "state"), 0))
		r.source.publish(1, good)
		r.start(t)
		if got := r.settle(); !slices.Contains(got, "ready") || r.Status().StateError == "" {
			t.Errorf("got %s, %+v", got, r.Status())
		}
	})
}

func TestAVersionThatCouldNotBeKeptIsKeptLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, keepIn(file, 0))
		r.source.publish(7, good, ordered)
		r.start(t)
		if r.settle(); r.Status().StateError == "" {
			t.Fatal("it was kept in a file that is no directory")
		}
		if err := os.Remove(file); err != nil { // the disk is there again
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		g, err := readLastGood(file)
		if err != nil || g.Version.Number != 7 || r.Status().StateError != "" {
			t.Errorf("kept %+v (%v), state error %q", g, err, r.Status().StateError)
		}
		if v, err := readHighest(file); err != nil || v.Number != 7 {
			t.Errorf("highest %+v (%v)", v, err)
		}
	})
}

// TestTwoGenerationsKeep: the one that is further is kept, whoever writes last, and neither writes while the other does.
func TestTwoGenerationsKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		old, next := newRig(t, keepIn(dir, 0)), newRig(t, keepIn(dir, 0))
		old.source.publish(5, good, ordered)
		old.start(t)
		old.settle()
		next.source.publish(7, good2, ordered)
		next.start(t)
		next.settle()
		old.source.publish(6, good2, ordered)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := old.Status().Version.Number; n != 6 {
			t.Fatalf("the old generation is at %d", n)
		}
		if g, err := readLastGood(dir); err != nil || g.Version.Number != 7 {
			t.Errorf("kept %+v (%v)", g, err)
		}

		f, err := os.Open(filepath.Join(dir, lockFileName))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if held, err := tryLock(f); !held || err != nil {
			t.Fatal(held, err)
		}
		next.source.publish(8, good, ordered)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if g, err := readLastGood(dir); err != nil || g.Version.Number != 7 || next.Status().Version.Number != 8 || next.Status().StateError == "" {
			t.Errorf("while another process writes: kept %+v (%v), status %+v", g, err, next.Status())
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if g, err := readLastGood(dir); err != nil || g.Version.Number != 8 || next.Status().StateError != "" {
			t.Errorf("afterwards: kept %+v (%v), status %+v", g, err, next.Status())
		}
	})
}

func ordered(h *Head) { h.Ordered = true }

// TestAFloodOfHeads: whoever may write to a store decides neither how often it is read nor how much is logged.
func TestAFloodOfHeads(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		most int // reads of head in 30 s
	}{"good ones": {good, 310}, "bad ones": {bad, 31 + 5}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.source.hints = make(chan struct{})
				r.source.publish(1, good2)
				r.start(t)
				r.settle()
				before := r.source.heads
				flood := time.NewTimer(30 * time.Second)
				n := uint64(1)
				for over := false; !over && n < 10_000; {
					n++
					r.source.publish(n, tt.text)
					select {
					case r.source.hints <- struct{}{}:
					case <-flood.C:
						over = true
					}
				}
				if read := r.source.heads - before; read > tt.most || read < tt.most/2 {
					t.Errorf("head was read %d times in 30 s, at most %d", read, tt.most)
				}
				r.source.publish(n+1, good2)
				select {
				case r.source.hints <- struct{}{}:
				case <-time.After(time.Minute):
				}
				time.Sleep(2 * paceBad)
				synctest.Wait()
				if v := r.Status().Version.Number; v != n+1 {
					t.Errorf("version %d is in force after the flood, want %d", v, n+1)
				}
			})
		})
	}
}
