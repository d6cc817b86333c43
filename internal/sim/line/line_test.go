package line_test

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/internal/sim/line"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	seeds = flag.Int("seeds", defaultSeeds, "how many histories to play")
	from  = flag.Uint64("from", 1, "the first seed")
	seed  = flag.Uint64("seed", 0, "play this one only, and tell its story")
	only  = flag.String("mutant", "", "break this rule")
)

func mutant() line.Mutant {
	for _, m := range line.Mutants() {
		if m.Name == *only {
			return m
		}
	}
	return line.Mutant{}
}

func TestHistories(t *testing.T) {
	if *seed != 0 {
		r := line.Run(line.Options{Seed: *seed, Mutant: mutant(), Trace: func(at time.Duration, format string, args ...any) {
			fmt.Printf("%12v ", at)
			fmt.Printf(format+"\n", args...)
		}})
		for _, v := range r.Violations {
			t.Error(v)
		}
		return
	}
	n := *seeds
	if testing.Short() {
		n = min(n, 200)
	}
	var mu sync.Mutex // guards what follows
	count, answered, generations, failed := map[string]int{}, 0, 0, 0
	var next atomic.Uint64
	next.Store(*from)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() { // ends when all were played
			for s := next.Add(1) - 1; s < *from+uint64(n); s = next.Add(1) - 1 {
				r := line.Run(line.Options{Seed: s})
				mu.Lock()
				for k, v := range r.Count {
					count[k] += v
				}
				answered, generations = answered+r.Answered, generations+r.Generation
				if len(r.Violations) > 0 {
					if failed++; failed <= 5 {
						t.Errorf("seed %d: %s\nreplay: go test ./internal/sim/line -run Histories -seed %d -v", s, strings.Join(r.Violations, "\n\t"), s)
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d histories, %d failed: %d generations, %d requests answered; %v", n, failed, generations, answered, count)
	if n < 300 {
		return // too few for all of it
	}
	for _, what := range []string{"confirmed", "taken back", "refused", "successor dies early", "successor dies around the trial", "successor hangs", "successor hangs on trial", "successor fails on trial", "successor never syncs",
		"successor has an old policy", "successor told to stop", "drained and undone while a successor starts", "killed by a stranger", "lost with its process", "SYN shed"} {
		if count[what] == 0 {
			t.Errorf("%q never happened in %d histories", what, n)
		}
	}
}

// Each rule, broken, is noticed for what it breaks, in a history that is clean when it is
// whole.
func TestMutantsAreCaught(t *testing.T) {
	for _, m := range line.Mutants() {
		if *only != "" && m.Name != *only {
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			for s := uint64(1); s <= 500; s++ {
				for _, v := range line.Run(line.Options{Seed: s, Mutant: m}).Violations {
					if !slices.ContainsFunc(m.Shows, func(part string) bool { return strings.Contains(v, part) }) {
						continue
					}
					if clean := line.Run(line.Options{Seed: s}); len(clean.Violations) > 0 {
						t.Errorf("seed %d fails without the fault as well: %s", s, clean.Violations[0])
					}
					t.Logf("%s: noticed in history %d: %s", m.Breaks, s, v)
					return
				}
			}
			t.Errorf("not noticed within 500 histories: %s", m.Breaks)
		})
	}
}
