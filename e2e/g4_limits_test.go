package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// G4, while serving: connections, slow clients and what they leave behind are bounded.

// TestG4ConnectionLimit: one connection over limits.max_connections has a clear answer,
// and those within it are served on.
func TestG4ConnectionLimit(t *testing.T) {
	t.Parallel()
	const limit = 5
	s := serve(t, newUpstream(t), setup{extra: "limits: {max_connections: 5}"})
	var within []*wire
	for range limit {
		w, err := connect(s.web, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if a, err := w.ask(get("/")); err != nil || a.status != 200 {
			t.Fatalf("within the limit: %d %v", a.status, err)
		}
		within = append(within, w)
	}
	if a, err := once(s.web, get("/")); err != nil || a.status != 503 || !a.leave {
		t.Errorf("over the limit: status %d, close %t, %v; want 503 and a close", a.status, a.leave, err)
	}
	for _, w := range within {
		if a, err := w.ask(get("/")); err != nil || a.status != 200 {
			t.Errorf("within the limit, afterwards: %d %v", a.status, err)
		}
	}
	_ = within[0].Close()
	eventually(t, "a free place is given to the next", func() bool {
		a, err := once(s.web, get("/", "Connection: close"))
		return err == nil && a.status == 200
	})
}

// TestG4ListenerLimit: a listener that is full refuses, and takes nothing from another.
func TestG4ListenerLimit(t *testing.T) {
	t.Parallel()
	s := serve(t, newUpstream(t), setup{ofWeb: ", max_connections: 3"})
	for range 3 {
		w, err := connect(s.web, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if a, err := w.ask(get("/")); err != nil || a.status != 200 {
			t.Fatalf("within the limit: %d %v", a.status, err)
		}
	}
	if a, err := once(s.web, get("/")); err != nil || a.status != 503 || !a.leave || !strings.Contains(a.body, "on this listener") {
		t.Errorf("over the limit: status %d, close %t, %q, %v; want 503 with the reason, and a close", a.status, a.leave, a.body, err)
	}
	tunnel(t, s, "raw", "")
	if n, _ := s.metric(t, `sluice_refused_total{listener="web",reason="listener_limit"}`); n != 1 {
		t.Errorf("%v refusals are counted, want 1", n)
	}
}

// TestG4SourceLimit: one address has its share of connections and no more, over all
// listeners and loops; others have theirs; a trusted proxy has no limit.
func TestG4SourceLimit(t *testing.T) {
	t.Parallel()
	const share = 4
	s := serve(t, newUpstream(t), setup{extra: "limits: {per_source: 4}\ntrusted_proxies: [127.0.0.9]\nengine: {loops: 3}"})
	from := func(source, addr string) *wire {
		t.Helper()
		w, err := connectFrom(source, addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Close() })
		return w
	}
	var mine []*wire
	for range share - 1 {
		w := from("127.0.0.2", s.web)
		if a, err := w.ask(get("/")); err != nil || a.status != 200 {
			t.Fatalf("within the share: %d %v", a.status, err)
		}
		mine = append(mine, w)
	}
	raw := from("127.0.0.2", s.raw) // counts like any other
	if _, err := io.WriteString(raw, "there\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := raw.in.ReadString('\n'); err != nil || got != "there\n" {
		t.Fatalf("a tunnel within the share: %q %v", got, err)
	}
	if a, err := from("127.0.0.2", s.web).ask(get("/")); err != nil || a.status != 503 || !a.leave || !strings.Contains(a.body, "from this address") {
		t.Errorf("over the share: status %d, close %t, %q, %v; want 503 with the reason, and a close", a.status, a.leave, a.body, err)
	}
	if b, err := io.ReadAll(from("127.0.0.2", s.raw)); len(b) > 0 || isTimeout(err) {
		t.Errorf("over the share, tcp: %q %v; want a close", b, err)
	}
	for source, n := range map[string]int{"127.0.0.3": share, "127.0.0.9": 3 * share} {
		for range n {
			if a, err := from(source, s.web).ask(get("/")); err != nil || a.status != 200 {
				t.Fatalf("from %s: %d %v", source, a.status, err)
			}
		}
	}
	for _, listener := range []string{"web", "raw"} {
		if n, _ := s.metric(t, `sluice_refused_total{listener="`+listener+`",reason="source_limit"}`); n != 1 {
			t.Errorf("%v refusals of %s are counted, want 1", n, listener)
		}
	}
	_ = mine[0].Close()
	eventually(t, "a free place is given to the next", func() bool {
		w, err := connectFrom("127.0.0.2", s.web)
		if err != nil {
			return false
		}
		defer w.Close()
		a, err := w.ask(get("/", "Connection: close"))
		return err == nil && a.status == 200
	})
}

// TestG4RefusedConnectionsAreBounded: whoever is refused may hold its connection for a
// while, but not so many that the probes find no descriptor.
func TestG4RefusedConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	const descriptors, crowd = 256, 600
	for _, c := range []struct {
		name   string
		policy string // empty: none is in force
		addr   func(s *sluice) string
	}{
		{"no policy, http", "", func(s *sluice) string { return s.web }},
		{"no policy, tcp", "", func(s *sluice) string { return s.raw }},
		{"denied, tcp", denyTCP, func(s *sluice) string { return s.raw }},
		{"no route, tcp", noTCP, func(s *sluice) string { return s.raw }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &sluice{dir: prepare(t, setup{policy: c.policy, extra: "timeouts: {linger: 25s}"})}
			s.process = launch(t, nil, "/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, descriptors),
				built.sluice, "run", "--config", s.file("sluice.yaml"), "--receipt", s.file("receipt.json"))
			s.web, s.raw, s.probes = s.listening(t, "listener", "web"), s.listening(t, "listener", "raw"), s.listening(t, "component", "probes")
			if c.policy != "" {
				s.await(t, "serving", msg("serving"))
			}
			for range crowd { // each says nothing and stays
				conn, err := net.DialTimeout("tcp", c.addr(s), patience)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
			}
			eventually(t, "all are accepted", func() bool { return s.sum(t, "sluice_connections_accepted_total") >= crowd })
			// What was closed at once is gone in a moment; what lingers, or waits for a policy,
			// stays for seconds.
			eventually(t, "most descriptors are free", func() bool {
				files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
				return err == nil && len(files) <= descriptors*3/4
			})
			if code, _ := s.probe(t, "/livez"); code != 200 {
				t.Errorf("/livez says %d, want 200", code)
			}
			refusals := s.sum(t, "sluice_refused_total")
			if c.policy != denyTCP && refusals < crowd-descriptors {
				t.Errorf("%v refusals are counted of %d", refusals, crowd)
			}
		})
	}
}

// TestG4TheDeniedTakeNoPlace: connections that the policy refuses do not count against
// limits.max_connections while they linger, however many there are.
func TestG4TheDeniedTakeNoPlace(t *testing.T) {
	t.Parallel()
	s := serve(t, newUpstream(t), setup{policy: denyTCP, extra: "limits: {max_connections: 5}\ntimeouts: {linger: 5s}"})
	for range 50 {
		conn, err := net.DialTimeout("tcp", s.raw, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		// FIN or reset: it was decided.
		_ = conn.SetDeadline(time.Now().Add(patience))
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Fatalf("read %d bytes, %v from a listener that denies everybody", n, err)
		}
	}
	if a, err := once(s.web, get("/")); err != nil || a.status != 404 {
		t.Errorf("status %d, %v; want 404: the proxy has room", a.status, err)
	}
}

// Policies of a tcp listener that refuses everybody.
const (
	denyTCP = `clusters: {app: {endpoints: ["127.0.0.1:9"]}}
tcp_routes: [{listener: raw, cluster: app, policy: [{allow: {and: [{source_ip: 10.0.0.0/8}]}}]}]
`
	noTCP = `clusters: {app: {endpoints: ["127.0.0.1:9"]}}
routes: [{name: web, cluster: app}]
`
)

// TestG4SlowClients are timed out, each in its phase, and told why where that is possible.
func TestG4SlowClients(t *testing.T) {
	t.Parallel()
	s := serve(t, newUpstream(t), setup{extra: "timeouts: {head: 500ms, body: 500ms, idle: 500ms}"})
	for _, c := range []struct {
		name, sent string
		want       int // 0: a close without a word
	}{
		{"half a head", "GET / HTTP/1.1\r\nHost: a", 408},
		{"half a body", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf", 408},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			w, err := connect(s.web, patience)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			a, err := w.ask(c.sent)
			if err != nil || a.status != c.want || !a.leave {
				t.Errorf("status %d, close %t, %v; want %d and a close", a.status, a.leave, err, c.want)
			}
			if d := time.Since(began); d < 400*time.Millisecond || d > 5*time.Second {
				t.Errorf("timed out after %v, want 500ms", d)
			}
		})
	}
	t.Run("idle", func(t *testing.T) {
		w, err := connect(s.web, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if a, err := w.ask(get("/")); err != nil || a.status != 200 {
			t.Fatalf("GET: %d %v", a.status, err)
		}
		if rest, err := io.ReadAll(w.in); err != nil || len(rest) > 0 {
			t.Errorf("the idle connection ended with %q, %v; want a FIN", rest, err)
		}
	})
}

// TestG4SlowReaders take their response slowly but steadily, while the kernel and a pipe
// hold megabytes for them: nobody may take them for stuck. Who takes nothing is.
func TestG4SlowReaders(t *testing.T) {
	t.Parallel()
	s := serve(t, newUpstream(t), setup{extra: "timeouts: {write: 3s}"})
	ask := func() *wire {
		t.Helper()
		w, err := connect(s.web, patience)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Close() })
		if _, err := io.WriteString(w, get("/big")); err != nil {
			t.Fatal(err)
		}
		return w
	}
	slow := ask()
	tick := time.NewTicker(50 * time.Millisecond) // the pace of a slow client
	defer tick.Stop()
	for range 160 { // 8 s, twice what a stuck one gets
		<-tick.C
		if _, err := io.CopyN(io.Discard, slow.in, 4<<10); err != nil {
			t.Fatalf("80 KiB a second: %v", err)
		}
	}
	if n := s.sum(t, "sluice_slow_clients_total"); n != 0 {
		t.Errorf("%v clients are taken for slow, want none", n)
	}
	stuck := ask()
	eventually(t, "the stuck one is dropped", func() bool { return s.sum(t, "sluice_slow_clients_total") >= 1 })
	_ = stuck.Close()
}

// TestG4LongUploads may take longer than the limit of a head, as long as bytes come.
func TestG4LongUploads(t *testing.T) {
	t.Parallel()
	s := serve(t, newUpstream(t), setup{extra: "timeouts: {head: 300ms, body: 2s, idle: 300ms}"})
	w, err := connect(s.web, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, pieces := range [][]string{
		{"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n"},     // the first of its connection
		{"POST /echo HTTP/1.1\r\nHost: a\r\n", "Content-Length: 8\r\n\r\n"}, // a head in two pieces
	} {
		for _, p := range pieces {
			if _, err := io.WriteString(w, p); err != nil {
				t.Fatal(err)
			}
		}
		tick := time.NewTicker(100 * time.Millisecond) // the pace of a slow client
		for i := range 8 {
			<-tick.C
			if _, err := io.WriteString(w, string(rune('a'+i))); err != nil {
				t.Fatal(err)
			}
		}
		tick.Stop()
		if a, err := w.read("POST"); err != nil || a.status != 200 || a.body != "abcdefgh" {
			t.Fatalf("status %d %q %v, want the body back", a.status, a.body, err)
		}
	}
}

// TestG4NothingLeaks: after connections that came and went in every way, the goroutines
// and descriptors of the process are what they were.
func TestG4NothingLeaks(t *testing.T) {
	up := newUpstream(t)
	s := serve(t, up, setup{})
	visit := func(n int) {
		for range n {
			for _, end := range []func(w *wire){
				func(w *wire) { _, _ = w.ask(get("/", "Connection: close")) },
				func(w *wire) { _, _ = w.ask(get("/")) },
				func(w *wire) { _, _ = io.WriteString(w, "GET / HT") },
				func(w *wire) { _, _ = io.WriteString(w, get("/slow?d=10s")) },
				func(w *wire) { _, _ = w.ask(get("/tunnel", "Connection: Upgrade", "Upgrade: echo")) },
				func(*wire) {},
			} {
				w, err := connect(s.web, patience)
				if err != nil {
					t.Fatal(err)
				}
				end(w)
				_ = w.Close()
			}
		}
	}
	visit(5)
	settled := func() (goroutines, files float64) {
		eventually(t, "every connection is gone", func() bool { return s.sum(t, "sluice_connections_active") == 0 })
		goroutines, _ = s.metric(t, "go_goroutines")
		files, _ = s.metric(t, "process_open_fds")
		return goroutines, files
	}
	g0, f0 := settled()
	visit(50)
	settled()
	// Pooled upstream connections come and go: a few more or fewer are no leak. 300 visits
	// that each left something would be.
	const slack = 20
	eventually(t, "goroutines and descriptors are back", func() bool {
		g, f := settled()
		return g <= g0+slack && f <= f0+slack
	})
}
