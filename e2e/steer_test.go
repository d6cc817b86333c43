package e2e

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Seeing and steering a drain from outside: `sluice drain --watch`, --close, --deadline,
// --ack, --undo and --dry-run.

// look is what the tests read of one look of `sluice drain --watch --json`.
type look struct {
	Drain struct {
		State   string
		Seconds float64 `json:"seconds_left"`
	}
	Holders struct {
		Total  struct{ Handshake, Idle, Active, Tunnel int }
		Groups []struct {
			Route, Class string
			Count        int
		}
		Connections []held
		Hashed      bool `json:"peers_hashed"`
	}
}

type held struct {
	ID                                          uint64
	Protocol, Route, Identity, Peer, Class, Why string
	Age                                         int64 `json:"age_ms"`
	Out                                         int64 `json:"bytes_out"`
	Ends                                        struct {
		In int64 `json:"in_ms"`
		By string
	}
}

// look looks once.
func (s *sluice) look(t *testing.T, more ...string) (l look) {
	t.Helper()
	out, code := s.cli(t, append([]string{"drain", "--watch", "--once", "--json", "-c", s.file("sluice.yaml")}, more...)...)
	if code != 0 {
		t.Fatalf("drain --watch: exit %d: %s", code, out)
	}
	if err := json.Unmarshal([]byte(out), &l); err != nil {
		t.Fatalf("drain --watch: %v in %s", err, out)
	}
	return l
}

// of is the holder of a class; nil: there is none.
func (l look) of(class string) *held {
	for i := range l.Holders.Connections {
		if h := &l.Holders.Connections[i]; h.Class == class {
			return h
		}
	}
	return nil
}

// drains runs `sluice drain` with flags.
func (s *sluice) drains(t *testing.T, code int, flags ...string) string {
	t.Helper()
	out, got := s.cli(t, append([]string{"drain", "-c", s.file("sluice.yaml")}, flags...)...)
	if got != code {
		t.Fatalf("drain %v: exit %d, want %d: %s", flags, got, code, out)
	}
	return out
}

// TestWatchNamesWhoHoldsTheDrain and what each rests on: before a drain and within one.
// Then the operator ends them: one by its ID, the other by a sooner deadline.
func TestWatchNamesWhoHoldsTheDrain(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{policy: strings.Replace(policyFor(up.web, up.raw, "v1"), "prefix: /private", "prefix: /slow", 1),
		drain: "{timeout: 15s, idle_close: 7s}", extra: "platform: {stop_timeout: 40s}"})
	w := tunnel(t, s, "raw", "")
	slow := begin(t, s.web, get("/slow?d=1m", "X-Api-Key: "+goodKey))
	eventually(t, "the request is upstream", func() bool { return len(up.log("/slow")) == 1 })
	idle := dial(t, s.web)
	eventually(t, "three are there", func() bool { return s.look(t).Holders.Total.Handshake == 1 })

	l := s.look(t)
	if l.Drain.State != "serving" || l.Holders.Total.Active != 1 || l.Holders.Total.Tunnel != 1 || len(l.Holders.Groups) != 3 {
		t.Errorf("before the drain: %+v", l)
	}
	if last := l.Holders.Connections[2]; last.Class != "handshake" {
		t.Errorf("what a drain need not wait for comes last, and it is %+v", last)
	}
	s.signal(t, syscall.SIGTERM)
	eventually(t, "the listeners are closed and the drain has begun", func() bool {
		l = s.look(t)
		return l.of("tunnel") != nil && l.of("tunnel").Ends.By != "unknown"
	})
	busy, open, waits := l.of("active"), l.of("tunnel"), l.of("handshake")
	if busy == nil || open == nil || waits == nil {
		t.Fatalf("in the drain: %+v", l)
	}
	if busy.Protocol != "http" || busy.Route != "private" || busy.Identity != "ada" || busy.Why == "" || busy.Ends.By != "deadline" || busy.Ends.In < 5_000 || busy.Ends.In > 15_000 {
		t.Errorf("the exchange: %+v", busy)
	}
	if open.Protocol != "tcp" || open.Out == 0 || open.Age == 0 || waits.Ends.By != "idle_close" {
		t.Errorf("the tunnel: %+v, the idle one: %+v", open, waits)
	}
	me := idle.LocalAddr().String()
	if !l.Holders.Hashed || waits.Peer == "" || strings.Contains(waits.Peer, "127.0.0.1") {
		t.Errorf("the peer is %q, not hashed", waits.Peer)
	}
	if shown := s.look(t, "--peers").of("handshake"); shown == nil || shown.Peer != me {
		t.Errorf("with --peers it is %+v, want %s", shown, me)
	}

	s.drains(t, 0, "--close", strconv.FormatUint(open.ID, 10))
	if _, err := io.ReadAll(w.in); isTimeout(err) {
		t.Error("the client of the tunnel was never told")
	}
	eventually(t, "the tunnel is gone", func() bool { return s.look(t).of("tunnel") == nil })
	if out := s.drains(t, 1, "--close", strconv.FormatUint(open.ID, 10)); !strings.Contains(out, "no such connection") {
		t.Errorf("closed again: %s", out)
	}
	if out := s.drains(t, 1, "--deadline", "10m"); !strings.Contains(out, "platform.stop_timeout") {
		t.Errorf("past what the platform allows: %s", out)
	}
	s.drains(t, 0, "--deadline", "500ms")
	if code := s.exit(t, patience); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	if r := <-slow; r.err == nil {
		t.Error("the response that was cut looked whole")
	}
	r := s.receipt(t)
	causes := map[string]int{}
	for _, c := range r.Cut {
		causes[c.Class+" "+c.Cause]++
	}
	if r.CutTotal != 2 || causes["tunnel operator"] != 1 || causes["active deadline"] != 1 || len(r.Moves) != 1 {
		t.Errorf("the receipt names %+v, with moves %+v", r.Cut, r.Moves)
	}
}

// TestDeadlineGivesMoreTime: what would have been cut finishes.
func TestDeadlineGivesMoreTime(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{drain: "{timeout: 2s, idle_close: 500ms}"})
	slow := begin(t, s.web, get("/slow?d=5s"))
	eventually(t, "the request is upstream", func() bool { return len(up.log("/slow")) == 1 })
	if out := s.drains(t, 1, "--deadline", "10s"); !strings.Contains(out, "not draining") {
		t.Errorf("with no drain: %s", out)
	}
	s.signal(t, syscall.SIGTERM)
	s.await(t, "draining", msg("draining"))
	s.drains(t, 0, "--deadline", "15s")
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if r := <-slow; r.err != nil || r.answer.status != 200 {
		t.Errorf("the response: %d, %v", r.answer.status, r.err)
	}
}

// TestWatchToTheEnd: plain lines where nobody looks at a terminal, until the proxy is gone.
func TestWatchToTheEnd(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{})
	slow := begin(t, s.web, get("/slow?d=2s"))
	eventually(t, "the request is upstream", func() bool { return len(up.log("/slow")) == 1 })
	cmd := exec.Command(built.sluice, "drain", "--watch", "--every", "50ms", "-c", s.file("sluice.yaml"))
	said := make(chan string, 1) // of capacity 1: nobody has to read it
	go func() {                  // ends with the command
		out, err := cmd.CombinedOutput()
		if err != nil {
			out = append(out, err.Error()...)
		}
		said <- string(out)
	}()
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	<-slow
	select {
	case out := <-said:
		for _, want := range []string{"draining: 1 active left", " left of 1, ", "holds it: http open-v1", "the proxy is gone"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
		if strings.Contains(out, "\x1b") || strings.Contains(out, "exit status") {
			t.Errorf("not plain lines, or a failure:\n%s", out)
		}
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		t.Fatal("it went on watching after the proxy was gone")
	}
}

// TestAcknowledgeByAnOrchestrator ends the lame duck by one call without a body; the
// receipt and the log say so. Each other end is named as well.
func TestAcknowledgeByAnOrchestrator(t *testing.T) {
	t.Parallel()
	post := func(t *testing.T, s *sluice) int {
		client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, Dial: func(string, string) (net.Conn, error) {
			return net.Dial("unix", s.file("admin.sock"))
		}}}
		resp, err := client.Post("http://sluice/drain/ack", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for _, c := range []struct {
		name, duck, want string
		act              func(*testing.T, *sluice)
	}{
		{"acknowledged", "{min: 15s, max: 15s}", "acknowledged", func(t *testing.T, s *sluice) {
			if code := post(t, s); code != 409 {
				t.Errorf("before the lame duck: %d, want 409", code)
			}
			s.signal(t, syscall.SIGTERM)
			s.await(t, "the lame duck", msg("lame duck"))
			if code := post(t, s); code != 200 {
				t.Errorf("in the lame duck: %d, want 200", code)
			}
		}},
		{"acknowledged by command", "{min: 15s, max: 15s}", "acknowledged", func(t *testing.T, s *sluice) {
			s.signal(t, syscall.SIGTERM)
			s.await(t, "the lame duck", msg("lame duck"))
			s.drains(t, 0, "--ack")
		}},
		{"second signal", "{min: 15s, max: 15s}", "signal", func(t *testing.T, s *sluice) {
			s.signal(t, syscall.SIGTERM)
			s.await(t, "the lame duck", msg("lame duck"))
			time.Sleep(300 * time.Millisecond) // one that comes sooner is a repeat
			s.signal(t, syscall.SIGTERM)
		}},
		{"nobody can judge", "{min: 100ms, max: 300ms, quiet: 100ms}", "max", func(t *testing.T, s *sluice) { s.signal(t, syscall.SIGTERM) }},
		{"quiet", "{min: 200ms, max: 15s, quiet: 1s}", "quiet", func(t *testing.T, s *sluice) { s.arrive(t, 20); s.signal(t, syscall.SIGTERM) }},
		{"min", "{min: 1500ms, max: 15s, quiet: 200ms}", "min", func(t *testing.T, s *sluice) { s.arrive(t, 20); s.signal(t, syscall.SIGTERM) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			s := serve(t, up, setup{lameDuck: c.duck, extra: "platform: {stop_timeout: 60s}"})
			c.act(t, s)
			if code := s.exit(t, patience); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			for _, p := range s.receipt(t).Phases {
				if p.Name == "lame_duck" && p.EndedBy != c.want {
					t.Errorf("the lame duck was ended by %q, want %q", p.EndedBy, c.want)
				}
			}
			if s.find(func(r record) bool { return strings.HasSuffix(r.str("reason"), "lame duck ended by "+c.want) }) == nil {
				t.Errorf("the log does not say that %s ended it", c.want)
			}
		})
	}
}

// arrive sends n requests, each on a connection of its own.
func (s *sluice) arrive(t *testing.T, n int) {
	t.Helper()
	for range n {
		if a, err := once(s.web, get("/")); err != nil || a.status != 200 {
			t.Fatalf("%d %v", a.status, err)
		}
	}
}

// TestDryRun says what would be cut from what it saw, and owns up to what it cannot know.
func TestDryRun(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{})
	var all []<-chan reply
	for range 30 { // what it learns from: exchanges of a second
		all = append(all, begin(t, s.web, get("/slow?d=1s")))
	}
	for _, r := range all {
		if r := <-r; r.err != nil {
			t.Fatal(r.err)
		}
	}
	tunnel(t, s, "raw", "") // nothing is known of tunnels
	slow := begin(t, s.web, get("/slow?d=1s"))
	eventually(t, "the request is upstream", func() bool { return len(up.log("/slow")) == 31 })
	var f struct {
		Budgets []struct {
			Budget          int64 `json:"budget_ms"`
			Expected        float64
			Unknown, Judged int
		}
		Routes []struct{ Route string }
	}
	out := s.drains(t, 0, "--dry-run", "--json", "--at", "10ms,30s")
	if err := json.Unmarshal([]byte(out), &f); err != nil || len(f.Budgets) != 2 {
		t.Fatalf("%v in %s", err, out)
	}
	soon, later := f.Budgets[0], f.Budgets[1]
	if soon.Budget != 10 || soon.Judged != 1 || soon.Expected < 0.3 || soon.Unknown != 1 {
		t.Errorf("in 10 ms: %+v, want the exchange to be cut, and nothing known of the tunnel", soon)
	}
	if later.Judged != 1 || later.Expected > 0.1 || later.Unknown != 1 {
		t.Errorf("in 30 s: %+v, want the exchange to be over, and nothing known of the tunnel", later)
	}
	if text := s.drains(t, 0, "--dry-run"); !strings.Contains(text, "10s") || !strings.Contains(text, "1m0s") || !strings.Contains(text, "unknown") {
		t.Errorf("for people:\n%s", text)
	}
	if code, _ := s.probe(t, "/readyz"); code != 200 {
		t.Error("a dry run began a drain")
	}
	if r := <-slow; r.err != nil {
		t.Error(r.err)
	}
}
