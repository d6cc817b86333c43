package load

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/origin"
	"github.com/sluiceproxy/sluice/bench/lab/record"
)

// all is a profile of every class, short enough for a test.
func all(rate float64) (profiles []Profile) {
	for _, c := range record.Classes() {
		profiles = append(profiles, Profile{Class: c, Rate: rate, Hold: 200 * time.Millisecond})
	}
	return profiles
}

// TestPerfectTarget loses nothing, in any class, and the upstream's ledger has every ID once.
func TestPerfectTarget(t *testing.T) {
	o, err := origin.Start(origin.Config{Web: "127.0.0.1:0", Raw: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	r := record.New(time.Now())
	g := New(Config{Web: o.Web(), Raw: o.Raw(), Profiles: all(40), Seed: 7, Record: r})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	g.Run(ctx)
	s := r.Sum()
	for _, c := range record.Classes() {
		if n := s.Classes[c]; n.Sent < 39 || n.OK != n.Sent {
			t.Errorf("%v: %d of %d", c, n.OK, n.Sent)
		}
	}
	if len(s.Failures) > 0 || s.Running > 0 || g.Open() != 0 || g.InFlight() != 0 {
		t.Errorf("%d running, %d open, failures %+v", s.Running, g.Open(), s.Failures)
	}
	if sent := s.All().Sent; o.Requests() != sent || len(o.Twice()) > 0 {
		t.Errorf("%d sent, %d arrived, twice %q", sent, o.Requests(), o.Twice())
	}
}

// pipe is a server in the bubble of a synctest: it answers each request after delay.
func pipe(delay func() time.Duration) func(context.Context, string) (net.Conn, error) {
	return func(context.Context, string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() { // ends with the connection
			defer there.Close()
			in := bufio.NewReader(there)
			for {
				req, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				time.Sleep(delay())
				body := origin.Answer(req.Header.Get(origin.IDField))
				if _, err := fmt.Fprintf(there, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
					return
				}
			}
		}()
		return here, nil
	}
}

// TestOpenLoop: a service that stalls for two seconds is asked as often as ever meanwhile, and
// each request that was due in the stall counts from then.
func TestOpenLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		stall := func() time.Duration {
			if at := time.Since(began); at > time.Second && at < 3*time.Second {
				return 3*time.Second - at
			}
			return time.Millisecond
		}
		r := record.New(began)
		g := New(Config{Web: "pipe", Profiles: []Profile{{Class: record.Short, Rate: 100}}, Record: r, Dial: pipe(stall)})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		g.Run(ctx)
		s := r.Sum()
		n := s.Classes[record.Short]
		if n.Sent < 499 || n.OK != n.Sent {
			t.Errorf("%d of %d, want all of 500", n.OK, n.Sent)
		}
		if longest, median := n.Quantile(100), n.Quantile(70); longest < 1900*time.Millisecond || median < 400*time.Millisecond {
			t.Errorf("latency: 70 %% %v, most %v; 40 %% were due in a stall of 2 s", median, longest)
		}
		if s.Gap < 1900*time.Millisecond || s.Gap > 2100*time.Millisecond {
			t.Errorf("gap %v, want the 2 s of the stall", s.Gap)
		}
		if s.Lag.Quantile(100) > time.Millisecond {
			t.Errorf("the generator itself was late by %v", s.Lag.Quantile(100))
		}
	})
}

// TestStalledGenerator: one that stops for a second makes up for it at once, and says so.
func TestStalledGenerator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		arrivals := 0
		r := record.New(time.Now())
		g := New(Config{Web: "pipe", Profiles: []Profile{{Class: record.Short, Rate: 100}}, Record: r,
			Dial: pipe(func() time.Duration { return time.Millisecond }),
			Pause: func(record.Class) {
				if arrivals++; arrivals == 200 {
					time.Sleep(time.Second)
				}
			}})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		g.Run(ctx)
		s := r.Sum()
		if n := s.Classes[record.Short]; n.Sent < 499 || n.OK != n.Sent {
			t.Errorf("%d of %d, want all of 500", n.OK, n.Sent)
		}
		if s.Lag.Quantile(100) < 990*time.Millisecond || s.Lag.Late(50*time.Millisecond) < 0.15 {
			t.Errorf("lag %+v after a stall of a second in five", s.Lag)
		}
		if got := s.Classes[record.Short].Quantile(100); got < 990*time.Millisecond {
			t.Errorf("most latency %v: what was due in the stall counts from then", got)
		}
	})
}

// TestFull: a generator at its bound says that it left arrivals out.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := record.New(time.Now())
		g := New(Config{Web: "pipe", Profiles: []Profile{{Class: record.Short, Rate: 100}}, Record: r, MaxInFlight: 10,
			Dial: pipe(func() time.Duration { return time.Second })})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		g.Run(ctx)
		if s := r.Sum(); s.NotSent < 200 || s.Classes[record.Short].Sent+s.NotSent < 299 {
			t.Errorf("%d sent, %d left out", s.Classes[record.Short].Sent, s.NotSent)
		}
	})
}
