package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// G7: routes, policy and keys change by atomic swap. A reload cuts no connection.

// pinned is a load that uses one connection for ever: a close is a loss.
func pinned(l *ledger, addr string, quit <-chan struct{}, client int) {
	w, err := connect(addr, patience)
	if err != nil {
		l.lose("dial: %v", err)
		return
	}
	defer w.Close()
	for {
		select {
		case <-quit:
			return
		default:
		}
		began := l.begin(w)
		a, err := w.ask(get("/private", "X-Api-Key: "+goodKey))
		switch {
		case err != nil:
			l.lose("exchange: %v", err)
			return
		case a.status != http.StatusOK || a.leave:
			l.reject("status %d, told to leave: %t", a.status, a.leave)
			return
		}
		l.complete(began)
	}
}

// TestG7PolicyChangesUnderLoad swaps the policy, the keys and both again, by file and by
// every way to ask for a reload, under load and beside open tunnels.
func TestG7PolicyChangesUnderLoad(t *testing.T) {
	up := newUpstream(t)
	s := serve(t, up, setup{})
	upgraded, raw := tunnel(t, s, "web", get("/tunnel", "Connection: Upgrade", "Upgrade: echo")), tunnel(t, s, "raw", "")
	l, quit := newLedger(), make(chan struct{})
	wait := clients(16, s.web, l, quit, pinned)
	var over atomic.Bool
	end := func() {
		if over.CompareAndSwap(false, true) {
			close(quit)
			wait()
		}
	}
	t.Cleanup(end)
	l.warm(t, 200)
	bound := s.count(msg("listening"))

	for i := 2; i <= 6; i++ {
		version := fmt.Sprintf("v%d", i)
		write(t, s.file("policy/main.yaml"), policyFor(up.web, up.raw, version))
		write(t, s.file("keys.yaml"), keyFile(goodKey)+"# "+version+"\n")
		switch i % 3 {
		case 0: // the watch sees it
		case 1:
			s.signal(t, syscall.SIGHUP)
		case 2:
			if out, code := s.cli(t, "reload", "--config", s.file("sluice.yaml")); code != 0 {
				t.Fatalf("reload: exit %d: %s", code, out)
			}
		}
		s.await(t, "policy in force: "+version, func(r record) bool {
			return r.str("msg") == "policy in force" && r["version"] == float64(i)
		})
		l.warm(t, l.total()+100)
	}
	end()
	if len(l.lost)+len(l.wrong) > 0 {
		t.Errorf("over 5 changes: lost %q, wrong %q of %d", l.lost, l.wrong, l.done)
	}
	if n := s.count(msg("listening")); n != bound {
		t.Errorf("%d listeners were bound anew", n-bound)
	}
	for _, w := range []*wire{upgraded, raw} {
		tunnels := newLedger()
		closing(tunnels, w)
		if len(tunnels.lost) > 0 {
			t.Errorf("a tunnel: %q", tunnels.lost)
		}
	}
	if a, err := once(s.web, get("/")); err != nil || a.status != 200 {
		t.Errorf("after the changes: %d %v", a.status, err)
	}
}

// TestG7RejectedPolicyIsKeptOutAndToldEverywhere with the same words.
func TestG7RejectedPolicyIsKeptOutAndToldEverywhere(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{})
	write(t, s.file("policy/main.yaml"), brokenPolicy)
	eventually(t, "the rejection is counted", func() bool {
		n, _ := s.metric(t, "sluice_policy_newest_rejected")
		return n == 1
	})
	s.stillServes(t)
	const sentence = `route "r": there is no cluster "nowhere"`
	s.await(t, "the rejection", func(r record) bool {
		return r.str("level") == "ERROR" && strings.Contains(fmt.Sprint(r), sentence)
	})
	status, _ := s.cli(t, "status", "--config", s.file("sluice.yaml"))
	_, verbose := s.probe(t, "/readyz?verbose")
	reload, code := s.cli(t, "reload", "--config", s.file("sluice.yaml"))
	if code != 1 {
		t.Errorf("reload of a broken policy: exit %d, want 1", code)
	}
	check, code := s.cli(t, "policy", "check", s.file("policy"))
	if code != 2 {
		t.Errorf("check of a broken policy: exit %d, want 2", code)
	}
	for where, text := range map[string]string{"status": status, "/readyz?verbose": verbose, "reload": reload, "policy check": check} {
		if !strings.Contains(strings.ReplaceAll(text, `\"`, `"`), sentence) { // some are JSON
			t.Errorf("%s does not say %q but\n%s", where, sentence, text)
		}
	}
	write(t, s.file("policy/main.yaml"), policyFor(up.web, up.raw, "v2"))
	eventually(t, "the rejection is over", func() bool {
		n, _ := s.metric(t, "sluice_policy_newest_rejected")
		return n == 0
	})
	s.stillServes(t)
}

// TestG7KeysChange: a key taken out of the file opens nothing any more, without a restart.
func TestG7KeysChange(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{})
	w, err := connect(s.web, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ask := func(key string, want int) {
		t.Helper()
		if a, err := w.ask(get("/private", "X-Api-Key: "+key)); err != nil || a.status != want {
			t.Errorf("status %d %v, want %d", a.status, err, want)
		}
	}
	ask(goodKey, 200)
	write(t, s.file("keys.yaml"), keyFile("another-key-of-the-test"))
	if out, code := s.cli(t, "reload", "--config", s.file("sluice.yaml")); code != 0 {
		t.Fatalf("reload: exit %d: %s", code, out)
	}
	ask(goodKey, 401)
	ask("another-key-of-the-test", 200)
}
