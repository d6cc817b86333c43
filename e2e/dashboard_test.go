package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestDashboardTellsTheStopAndEnds: the stream of the dashboard names each state of a stop, and
// who holds it, and ends with the drain; that it is open holds neither the drain nor the exit.
func TestDashboardTellsTheStopAndEnds(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{})
	w := tunnel(t, s, "raw", "")

	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, Dial: func(string, string) (net.Conn, error) {
		return net.Dial("unix", s.file("admin.sock"))
	}}}
	r, err := http.NewRequestWithContext(ctx, "GET", "http://sluice/dashboard/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var states []string
	var named bool
	var end string
	in := bufio.NewScanner(res.Body)
	in.Buffer(nil, 4<<20)
	for in.Scan() {
		data, ok := strings.CutPrefix(in.Text(), "data: ")
		if !ok {
			continue
		}
		var e struct {
			Why     string
			Status  struct{ Drain struct{ State string } }
			Holders struct{ Connections []held }
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		if e.Why != "" {
			end = e.Why
			continue
		}
		if n := len(states); n == 0 || states[n-1] != e.Status.Drain.State {
			states = append(states, e.Status.Drain.State)
			if n == 0 {
				s.signal(t, syscall.SIGTERM)
			}
		}
		if !named && e.Status.Drain.State == "draining" && len(e.Holders.Connections) == 1 && e.Holders.Connections[0].Protocol == "tcp" {
			named = true
			_ = w.Close()
		}
	}
	if err := in.Err(); err != nil {
		t.Errorf("the stream has no end of its own: %v", err)
	}
	if states[0] != "serving" || !slices.Contains(states, "draining") || !named || end != "drained" {
		t.Errorf("states %q, the holder was named: %v, the end is %q", states, named, end)
	}
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if out := s.find(func(r record) bool { return r.str("level") == "ERROR" }); out != nil {
		t.Errorf("the log says %v", out)
	}
}

// holds keeps a request open for as long as the test does.
func holds(t *testing.T, s *sluice, request string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", s.web, patience)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, c); close(done) }() // ends with the connection
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
}
