package proxy

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// BenchmarkCountFirst counts one exchange on each of 100,000 routes in random order: the
// counters of a route are made with its first exchange. BenchmarkCountAgain is the same
// once they are there.
func BenchmarkCountFirst(b *testing.B) { benchmarkCount(b, true) }

func BenchmarkCountAgain(b *testing.B) { benchmarkCount(b, false) }

func benchmarkCount(b *testing.B, first bool) {
	const n = 100_000
	order := rand.New(rand.NewPCG(1, 2)).Perm(n)
	var routes []*routeStats
	fresh := func() {
		var book statsBook
		routes = routes[:0]
		for i := range n {
			routes = append(routes, book.route(fmt.Sprint("r", i)))
		}
	}
	fresh()
	if !first {
		for _, r := range routes {
			r.count(methodGET, 200, time.Millisecond)
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if first && i > 0 && i%n == 0 {
			b.StopTimer()
			fresh()
			b.StartTimer()
		}
		routes[order[i%n]].count(methodGET, 200, time.Millisecond)
	}
}

// An upstream chooses the status: the cells of a route are bounded, and what is beyond
// the bound is counted all the same, whoever counts at the same time.
func TestCellsAreBounded(t *testing.T) {
	var book statsBook
	r := book.route("r")
	const workers, statuses = 4, 3 * maxCells
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { // joined below
			for s := range statuses {
				r.count(methodGET, 100+s, time.Millisecond)
			}
		})
	}
	wg.Wait()
	cells, sum := map[int]uint64{}, uint64(0)
	for _, s := range book.read() {
		if _, twice := cells[s.Status]; twice {
			t.Errorf("status %d has two cells", s.Status)
		}
		for _, n := range s.Buckets {
			cells[s.Status] += n
			sum += n
		}
	}
	if len(cells) > maxCells+1 || sum != workers*statuses {
		t.Errorf("%d cells count %d exchanges, want at most %d and %d", len(cells), sum, maxCells+1, workers*statuses)
	}
}
