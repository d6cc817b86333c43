package drain_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// What happens for every request allocates nothing.
func TestNoAllocationPerRequest(t *testing.T) {
	c := track(t, opened(t, drain.Config{}), nil)
	route, user := "r", "u"
	if n := testing.AllocsPerRun(1000, func() {
		c.Active()
		c.Describe(&route, &user)
		if c.Goodbye() {
			c.Told()
		}
		c.Bytes(100, 200)
		c.Idle()
		c.Describe(nil, nil)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkExchange(b *testing.B) {
	c := track(b, opened(b, drain.Config{}), nil)
	b.ReportAllocs()
	for b.Loop() {
		c.Active()
		c.Goodbye()
		c.Idle()
	}
}

// crowd opens n connections, every second one idle.
func crowd(b *testing.B, n int) (*drain.Tracker, []*drain.Conn) {
	tr := opened(b, drain.Config{})
	conns := make([]*drain.Conn, n)
	for i := range conns {
		conns[i] = track(b, tr, nil)
		conns[i].Active()
		if i%2 == 0 {
			conns[i].Idle()
		}
	}
	return tr, conns
}

const many = 100_000

func BenchmarkTrackDoneAmong100k(b *testing.B) {
	tr, _ := crowd(b, many)
	b.ReportAllocs()
	for b.Loop() {
		track(b, tr, nil).Done(drain.ClientClosed)
	}
}

func BenchmarkStatsOf100k(b *testing.B) {
	tr, _ := crowd(b, many)
	b.ReportAllocs()
	for b.Loop() {
		tr.Stats()
	}
}

// What `sluice drain --watch` asks for, among 100,000.
func BenchmarkViewOf100k(b *testing.B) {
	tr, _ := crowd(b, many)
	b.ReportAllocs()
	for b.Loop() {
		tr.View(100)
	}
}

// What `sluice drain --dry-run` asks for, among 100,000.
func BenchmarkForecastOf100k(b *testing.B) {
	tr, _ := crowd(b, many)
	b.ReportAllocs()
	for b.Loop() {
		tr.Forecast([]time.Duration{10 * time.Second, 30 * time.Second, 60 * time.Second})
	}
}

// How long Track and Done take while somebody looks at 100,000 all the time: the worst of
// a run is what traffic may notice of a look.
func BenchmarkTrackDoneWhileLookedAt(b *testing.B) {
	tr, _ := crowd(b, many)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				tr.View(100)
			}
		}
	}()
	var times []time.Duration
	for b.Loop() {
		began := time.Now()
		track(b, tr, nil).Done(drain.ClientClosed)
		times = append(times, time.Since(began))
	}
	close(stop)
	<-stopped
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds()), "p99-ns")
	b.ReportMetric(float64(times[len(times)*999/1000].Nanoseconds()), "p999-ns")
}

func BenchmarkSnapshotOf100k(b *testing.B) {
	tr, _ := crowd(b, many)
	b.ReportAllocs()
	for b.Loop() {
		tr.Snapshot(100)
	}
}

// The idle closing of 100,000 idle connections, all turns of it. ns/turn is how long
// the lock is held at a time.
func BenchmarkIdleCloseOf100k(b *testing.B) {
	b.ReportAllocs()
	turns := 0
	for b.Loop() {
		b.StopTimer()
		tr := opened(b, drain.Config{})
		for range many {
			track(b, tr, nil).Idle()
		}
		now := time.Now()
		tr.BeginDrain(now, now.Add(drain.DefaultTimeout))
		end := now.Add(drain.DefaultTimeout / 2)
		b.StartTimer()
		for !now.After(end) {
			now, _ = tr.Step(now)
			turns++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(turns), "ns/turn")
}
