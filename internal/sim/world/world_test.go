package world_test

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim/world"
)

// minEvents is what makes a history worth playing.
const minEvents = 200

// injected are the classes that the script chooses; the others are consequences.
var injected = []string{
	"client reset", "slow request", "half-close", "slow reader", "stalled reader", "silent client", "half head at SIGTERM", "upload at SIGTERM",
	"upstream restart", "early response", "slow response", "no response", "interim response", "until close", "long response",
	"truncated response", "upstream reset", "silent close", "policy change", "policy rejected", "stopped before the policy",
	"endpoint left in use", "drain undone", "impatient signal", "short read", "short write", "pending stage", "endless tunnel",
	"upgrade", "upgrade declined", "upgrade to be ignored", "bytes before the 101", "upstream says goodbye first", "unasked switch", "panic", "stage panic",
	"health check", "pending timeout",
	"HTTP/2 client", "body in pieces", "late window", "moved on", "stream cancelled",
	"refused stream", "stream reset", "stream broken", "connection broken", "upstream GOAWAY",
}

// census adds up what histories report. Safe for concurrent use.
type census struct {
	mu                         sync.Mutex // guards what follows
	played, failed             int
	fewest, requests, answered int
	cut                        int // histories in which something was cut
	times, histories           map[string]int
	told                       []string // of the first failures
}

func newCensus() *census {
	return &census{fewest: 1 << 30, times: map[string]int{}, histories: map[string]int{}}
}

func (c *census) add(r world.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.played++
	c.fewest = min(c.fewest, r.Events)
	c.requests, c.answered = c.requests+r.Requests, c.answered+r.Answered
	if r.Receipt.CutTotal > 0 {
		c.cut++
	}
	for k, n := range r.Faults {
		c.times[k] += n
		c.histories[k]++
	}
	if len(r.Violations) == 0 {
		return
	}
	if c.failed++; c.failed <= 5 {
		c.told = append(c.told, fmt.Sprintf("seed %d: %s\nreplay: go test ./internal/sim/world -run Histories -seed %d -v",
			r.Seed, strings.Join(r.Violations, "\n\t"), r.Seed))
	}
}

// String is one line.
func (c *census) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("%d histories, %d failed, at least %d events each, %d requests, %d answered, something cut in %d",
		c.played, c.failed, c.fewest, c.requests, c.answered, c.cut)
}

// play runs the histories of seeds first, first+1, ... until more says no.
func play(first uint64, c *census, more func(seed uint64) bool) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // histories leave much and keep nothing
	var next atomic.Uint64
	next.Store(first)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() { // joined below; ends when more says no
			for s := next.Add(1) - 1; more(s); s = next.Add(1) - 1 {
				c.add(world.Run(world.Options{Seed: s}))
			}
		})
	}
	wg.Wait()
}

func TestHistories(t *testing.T) {
	c := newCensus()
	switch {
	case *seed != 0:
		replay(t)
		return
	case *forever:
		playForever(t, c)
	default:
		end := *from + uint64(*seeds)
		play(*from, c, func(s uint64) bool { return s < end })
	}
	for _, text := range c.told {
		t.Error(text)
	}
	t.Log(c)
	if c.fewest < minEvents {
		t.Errorf("a history had only %d events, want %d", c.fewest, minEvents)
	}
	histogram(t, c)
}

// histogram prints the classes of faults; each one that is chosen has to be chosen often.
func histogram(t *testing.T, c *census) {
	names := slices.Clone(injected)
	for k := range c.times {
		if !slices.Contains(injected, k) {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	for _, k := range names {
		share := float64(c.histories[k]) / float64(c.played)
		t.Logf("%-28s in %5.1f%% of histories, %d times", k, 100*share, c.times[k])
		if share < 0.05 && slices.Contains(injected, k) && c.played >= 1000 { // fewer are no sample
			t.Errorf("fault %q is in less than 5%% of histories", k)
		}
	}
}

// Each scenario is clean, whatever the network makes of it.
func TestScenarioHistories(t *testing.T) {
	for _, sc := range world.Scenarios() {
		t.Run(sc.Name, func(t *testing.T) {
			t.Parallel()
			for s := *from; s < *from+uint64(max(10, *seeds/100)); s++ {
				opt := world.Options{Seed: s, Scenario: sc}
				if r := world.Run(opt); len(r.Violations) > 0 {
					opt.Trace = func(at time.Duration, format string, args ...any) { t.Log(at, fmt.Sprintf(format, args...)) }
					world.Run(opt)
					t.Fatalf("seed %d: %s", s, strings.Join(r.Violations, "\n\t"))
				}
			}
		})
	}
}

// playForever goes on until something fails.
func playForever(t *testing.T, c *census) {
	stop := make(chan struct{}) // closed below, when play returned
	var wg sync.WaitGroup
	wg.Go(func() { // joined below; ends with stop
		tick := time.NewTicker(10 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Println(c)
			case <-stop:
				return
			}
		}
	})
	play(*from, c, func(uint64) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.failed == 0
	})
	close(stop)
	wg.Wait()
	t.Log("ends with the first failure")
}

// replay tells the story of one history.
func replay(t *testing.T) {
	opt := world.Options{Seed: *seed, Trace: func(at time.Duration, format string, args ...any) {
		t.Log(at, fmt.Sprintf(format, args...))
	}}
	for _, m := range world.Mutants() {
		if m.Name == *only {
			opt.Mutant = m
		}
	}
	r := world.Run(opt)
	t.Log(r.Receipt.String())
	for _, v := range r.Violations {
		t.Error(v)
	}
}

// The same seed is the same history.
func TestReplayIsExact(t *testing.T) {
	story := func(seed uint64) string {
		var b strings.Builder
		r := world.Run(world.Options{Seed: seed, Trace: func(at time.Duration, format string, args ...any) {
			fmt.Fprintln(&b, at, fmt.Sprintf(format, args...))
		}})
		fmt.Fprintln(&b, r.Events, r.Requests, r.Answered)
		return b.String()
	}
	for seed := range uint64(30) { // a third of them has HTTP/2
		if a, b := story(seed), story(seed); a != b {
			t.Errorf("two runs of seed %d differ", seed)
		}
	}
	if story(7) == story(8) {
		t.Error("two seeds tell the same story")
	}
}
