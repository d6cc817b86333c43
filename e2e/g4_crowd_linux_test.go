package e2e

import (
	"io"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestG4DrainOfACrowd drains a crowd of idle connections (8,000 in the long form) and one
// tunnel. Memory does not grow while it lasts, every look is answered, and what it takes from
// the end of the last handle to the exit is reported.
func TestG4DrainOfACrowd(t *testing.T) {
	crowd, drain := 500, "{timeout: 10s, idle_close: 1500ms, flush: 1s}"
	if heavy() {
		crowd, drain = 8000, "{timeout: 20s, idle_close: 4s, flush: 1s}"
	} else {
		t.Parallel()
	}
	up := newUpstream(t)
	s := serve(t, up, setup{drain: drain, extra: "platform: {stop_timeout: 60s}"})
	hold := tunnel(t, s, "raw", "")
	var left sync.WaitGroup
	for range crowd {
		w, err := connect(s.web, patience)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := w.ask(get("/")); err != nil || a.status != 200 {
			t.Fatalf("%d %v", a.status, err)
		}
		_ = w.SetDeadline(time.Now().Add(3 * patience))
		left.Go(func() { // ends when it is told to leave, or at its deadline
			_, _ = io.Copy(io.Discard, w.in)
			_ = w.Close()
		})
	}
	eventually(t, "all of them idle", func() bool { return s.look(t).Holders.Total.Idle == crowd })
	before, during, looks := int64(0), int64(0), 0
	look := func(most *int64) (l look) {
		l = s.look(t)
		if out, code := s.cli(t, "status", "-c", s.file("sluice.yaml")); code != 0 {
			t.Errorf("status: exit %d: %s", code, out)
		}
		looks++
		*most = max(*most, s.resident(t))
		return l
	}
	for range 100 { // what looks leave to the garbage collector is there before, too
		look(&before)
	}
	looks = 0

	s.signal(t, syscall.SIGTERM)
	eventually(t, "only the tunnel is left", func() bool {
		l := look(&during)
		return l.Holders.Total.Idle+l.Holders.Total.Active == 0 && l.Holders.Total.Tunnel == 1
	})
	if looks < 5 {
		t.Errorf("%d looks: the drain was over before anybody saw it", looks)
	}
	if limit := before + before/4; during > limit {
		t.Errorf("memory grew from %d KiB to %d KiB while draining", before>>10, during>>10)
	}
	ended := time.Now()
	_ = hold.Close()
	code := s.exit(t, patience)
	left.Wait()
	r := s.receipt(t)
	if code != 0 || r.CutTotal+r.StuckTotal != 0 {
		t.Errorf("exit %d; cut %d, stuck %d", code, r.CutTotal, r.StuckTotal)
	}
	t.Logf("%d idle connections: %d KiB before, at most %d KiB in the drain, %d looks answered; from the end of the last handle to the exit %v",
		crowd, before>>10, during>>10, looks, s.exitAt.Sub(ended).Round(time.Millisecond))
}
