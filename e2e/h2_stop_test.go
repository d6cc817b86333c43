package e2e

import (
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// h2totals is the last account of h2load.
type h2totals struct{ total, started, done, succeeded, failed, errored, timeout int }

func h2loadTotals(t *testing.T, out string) (h h2totals) {
	t.Helper()
	m := regexp.MustCompile(`requests: (\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("h2load printed no totals:\n%s", out)
	}
	for i, p := range []*int{&h.total, &h.started, &h.done, &h.succeeded, &h.failed, &h.errored, &h.timeout} {
		*p, _ = strconv.Atoi(m[i+1])
	}
	return h
}

// TestH2loadThroughAStop: whatever h2load has sent is answered, though it does not come back for the rest; and
// the receipt counts what it counts.
func TestH2loadThroughAStop(t *testing.T) {
	t.Parallel()
	veil, _ := secure(t, "")
	for name, c := range map[string]setup{"http": {}, "https": veil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const calls = 40
			up := newUpstream(t)
			s := serve(t, up, c)
			cmd := exec.Command(tool(t, "h2load"), "-n", "400", "-c", "4", "-m", strconv.Itoa(calls/4), "--header", ":authority: "+edge().name, name+"://"+s.web+"/slow?d=1s")
			var out strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "all are upstream", func() bool { return len(up.log("/slow")) == calls })
			s.signal(t, syscall.SIGTERM)
			code := s.exit(t, patience)
			if err := cmd.Wait(); err != nil {
				t.Errorf("h2load: %v", err)
			}
			h, r := h2loadTotals(t, out.String()), s.receipt(t)
			if code != 0 || h.succeeded < calls || h.succeeded != len(up.log("/slow")) || h.timeout != 0 {
				t.Errorf("exit %d, upstream saw %d, h2load:\n%s", code, len(up.log("/slow")), out.String())
			}
			if got := r.Exchanges.LameDuck + r.Exchanges.Draining; got != h.succeeded || r.Exchanges.Interrupted+r.Exchanges.Failed+r.CutTotal != 0 {
				t.Errorf("the receipt has %+v, h2load %+v", r.Exchanges, h)
			}
		})
	}
}

// TestH2loadFastThroughAStop is the same with requests that come and go while the goodbye is said.
func TestH2loadFastThroughAStop(t *testing.T) {
	up := newUpstream(t)
	for range max(1, stops(t)/4) {
		s := serve(t, up, setup{access: true})
		cmd := exec.Command(tool(t, "h2load"), "-n", "10000000", "-c", "16", "-m", "8", "http://"+s.web+"/each")
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		begun := len(up.log("/each"))
		eventually(t, "a thousand requests", func() bool { return len(up.log("/each")) > begun+1000 })
		s.signal(t, syscall.SIGTERM)
		code := s.exit(t, patience)
		_ = cmd.Wait()
		h, r := h2loadTotals(t, out.String()), s.receipt(t)
		if seen := len(up.log("/each")) - begun; code != 0 || h.succeeded != seen || h.timeout != 0 {
			t.Errorf("exit %d, upstream saw %d, h2load:\n%s", code, seen, out.String())
		}
		if r.Exchanges.Interrupted+r.Exchanges.Failed+r.CutTotal != 0 {
			t.Errorf("the receipt has %+v", r.Exchanges)
		}
	}
}
