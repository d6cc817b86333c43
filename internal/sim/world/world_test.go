package world_test

import (
	"flag"
	"fmt"
	"runtime"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/internal/sim/world"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	seeds = flag.Int("seeds", 2000, "how many histories to play")
	from  = flag.Uint64("from", 1, "the first seed")
	seed  = flag.Uint64("seed", 0, "play this one only, and tell its story")
	only  = flag.String("mutant", "", "with -seed: break this rule")
)

func TestHistories(t *testing.T) {
	if *seed != 0 {
		replay(t)
		return
	}
	var next atomic.Uint64
	next.Store(*from)
	var mu sync.Mutex // guards what follows
	faults, withFault := map[string]int{}, map[string]int{}
	fewest, requests, answered, failed := 1<<30, 0, 0, 0
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Add(1)
		go func() { // joined below
			defer wg.Done()
			for s := next.Add(1) - 1; s < *from+uint64(*seeds); s = next.Add(1) - 1 {
				r := world.Run(world.Options{Seed: s})
				mu.Lock()
				fewest = min(fewest, r.Events)
				requests, answered = requests+r.Requests, answered+r.Answered
				for k, n := range r.Faults {
					faults[k] += n
					withFault[k]++
				}
				if len(r.Violations) > 0 {
					if failed++; failed <= 5 {
						t.Errorf("seed %d: %s\nreplay: go test ./internal/sim/world -run Histories -seed %d -v", s, strings.Join(r.Violations, "\n\t"), s)
					}
				}
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	if failed > 0 {
		t.Errorf("%d of %d seeds failed", failed, *seeds)
	}
	if fewest < minEvents {
		t.Errorf("a history had only %d events", fewest)
	}
	t.Logf("%d histories, at least %d events each, %d requests, %d answered", *seeds, fewest, requests, answered)
	names := make([]string, 0, len(faults))
	for k := range faults {
		names = append(names, k)
	}
	sort.Strings(names)
	for _, k := range names {
		t.Logf("%-28s in %5.1f%% of histories, %d times", k, 100*float64(withFault[k])/float64(*seeds), faults[k])
		if float64(withFault[k]) < 0.05*float64(*seeds) && injected[k] {
			t.Errorf("fault %q is in less than 5%% of histories", k)
		}
	}
	for k := range injected {
		if faults[k] == 0 {
			t.Errorf("fault %q never happened", k)
		}
	}
}

// injected are the classes that the script chooses; the others are consequences.
var injected = map[string]bool{
	"client reset": true, "slow request": true, "half-close": true, "slow reader": true, "upstream restart": true,
	"early response": true, "slow response": true, "interim response": true, "until close": true,
	"truncated response": true, "upstream reset": true, "silent close": true, "policy change": true,
	"drain undone": true, "impatient signal": true, "short read": true, "short write": true, "pending stage": true,
	"endless tunnel": true,
}

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

// Each rule, broken, must be noticed within 2,000 histories.
func TestMutantsAreCaught(t *testing.T) {
	for _, m := range world.Mutants() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			for s := uint64(1); s <= 2000; s++ {
				if r := world.Run(world.Options{Seed: s, Mutant: m}); len(r.Violations) > 0 {
					t.Logf("%s: caught by seed %d: %s", m.Breaks, s, r.Violations[0])
					return
				}
			}
			t.Errorf("not caught: %s", m.Breaks)
		})
	}
}

// minEvents is what makes a history worth playing.
const minEvents = 200

// The same seed is the same history.
func TestReplayIsExact(t *testing.T) {
	story := func() string {
		var b strings.Builder
		r := world.Run(world.Options{Seed: 7, Trace: func(at time.Duration, format string, args ...any) {
			fmt.Fprintln(&b, at, fmt.Sprintf(format, args...))
		}})
		fmt.Fprintln(&b, r.Events, r.Requests, r.Answered)
		return b.String()
	}
	if a, b := story(), story(); a != b {
		t.Error("two runs of one seed differ")
	}
}
