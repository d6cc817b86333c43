package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestLookingDoesNotStallTraffic watches a crowd of idle connections (8,000 in the long form)
// while clients ask in a closed loop: every look is complete, and no exchange is lost. What
// looks cost is reported, in rounds with and without them by turns; times are not asserted.
func TestLookingDoesNotStallTraffic(t *testing.T) {
	crowd, rounds := 500, 1
	if heavy() {
		crowd, rounds = 8000, 5
	}
	up := newUpstream(t)
	s := serve(t, up, setup{})
	for range crowd {
		w, err := connect(s.web, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
	}
	eventually(t, "all are there", func() bool { return s.look(t).Holders.Total.Handshake >= crowd })

	// One that comes first and last, so that what both share (caches, a busy machine) is even.
	var plain, looked, greedy, screens []time.Duration
	for range rounds {
		plain = append(plain, s.latencies(t, time.Second)...)
		looks := s.watching(t, crowd) // as an operator would
		looked = append(looked, s.latencies(t, time.Second)...)
		if n := looks(); n < 1 {
			t.Error("no look in a second")
		}
		looks = s.watching(t, crowd, "--every", "50ms", "--max", "1000")
		greedy = append(greedy, s.latencies(t, time.Second)...)
		if n := looks(); n < 2 {
			t.Errorf("only %d looks in a second", n)
		}
		if heavy() {
			stop := s.dashboards(t, 8)
			screens = append(screens, s.latencies(t, time.Second)...)
			stop()
		}
	}
	var once []time.Duration
	for range 10 {
		began := time.Now()
		s.look(t)
		once = append(once, time.Since(began))
	}
	t.Logf("%d idle connections; exchanges of 8 clients: without looks %s; watched %s; with a look at 1,000 each 50 ms %s; with 8 dashboards %s; a look from the command's start to its end: %s",
		crowd, tails(plain), tails(looked), tails(greedy), tails(screens), tails(once))
}

// latencies asks in a closed loop on 8 connections for that long.
func (s *sluice) latencies(t *testing.T, d time.Duration) (all []time.Duration) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	end := time.Now().Add(d)
	for range 8 {
		wg.Go(func() {
			w, err := connect(s.web, patience)
			if err != nil {
				t.Error(err)
				return
			}
			defer w.Close()
			var mine []time.Duration
			for began := time.Now(); began.Before(end); began = time.Now() {
				if a, err := w.ask(get("/")); err != nil || a.status != 200 {
					t.Errorf("%d %v", a.status, err)
					return
				}
				mine = append(mine, time.Since(began))
			}
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	return all
}

// watching looks all the time; the function that it returns ends that and says how often.
func (s *sluice) watching(t *testing.T, crowd int, more ...string) func() int {
	t.Helper()
	cmd := exec.Command(built.sluice, append([]string{"drain", "--watch", "--json", "-c", s.file("sluice.yaml")}, more...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	looks := make(chan int, 1)
	go func() { // ends with the command
		n := 0
		in := bufio.NewScanner(out)
		in.Buffer(nil, 4<<20)
		for in.Scan() {
			var l look
			if json.Unmarshal(in.Bytes(), &l) != nil { // the last one may be torn
				break
			}
			if l.Holders.Total.Handshake < crowd || len(l.Holders.Connections) < 20 {
				t.Errorf("a look shows %+v and %d connections", l.Holders.Total, len(l.Holders.Connections))
			}
			n++
		}
		looks <- n
	}()
	return func() int {
		_ = cmd.Process.Kill()
		n := <-looks
		_ = cmd.Wait()
		return n
	}
}

// dashboards opens the streams of n; the function that it returns ends them.
func (s *sluice) dashboards(t *testing.T, n int) (stop func()) {
	t.Helper()
	var running sync.WaitGroup
	var open []net.Conn
	for range n {
		c, err := net.DialTimeout("unix", s.file("admin.sock"), patience)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		if _, err := io.WriteString(c, "GET /dashboard/events HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(c)
		if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
			t.Fatalf("a dashboard: %q %v", line, err)
		}
		running.Go(func() { _, _ = io.Copy(io.Discard, in) }) // ends with the connection
	}
	return func() {
		for _, c := range open {
			_ = c.Close()
		}
		running.Wait()
	}
}

// tails writes the middle and the tail of durations.
func tails(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	slices.Sort(all)
	at := func(p float64) time.Duration { return all[int(p*float64(len(all)-1))].Round(time.Microsecond) }
	return fmt.Sprintf("n=%d p50=%v p99=%v p99.9=%v", len(all), at(.5), at(.99), at(.999))
}
