//go:build linux

package e2e

import (
	"strings"
	"testing"
)

// TestG8HTTP2ThroughUpgrades: HTTP/2 and gRPC go on while one process hands over to the next.
func TestG8HTTP2ThroughUpgrades(t *testing.T) {
	t.Parallel()
	server := grpcServer(t)
	up := newUpstream(t)
	h := serveHouse(t, up, setup{policy: h2Mixed(newOrigin(t, up.handler()), "http2", server)})
	l, quit := newLedger(), make(chan struct{})
	wait := clients(4, h.web, l, quit, h2Posts)
	joined := false
	join := func() {
		if !joined {
			joined = true
			close(quit)
			wait()
		}
	}
	t.Cleanup(join)
	calls := grpcLoad(t, h.web)
	n := max(1, stops(t)/3)
	for i := range n {
		calls.more(t, 10)
		l.warm(t, l.total()+50)
		if out, code := h.upgrade(t); code != 0 || !strings.Contains(out, "confirmed") {
			t.Fatalf("upgrade %d: exit %d: %s", i+1, code, out)
		}
	}
	calls.more(t, 10)
	r := calls.finish(t)
	join()
	l.neverSent(t, up)
	if refused := l.refused + r.Refused; len(l.lost)+len(l.wrong)+len(r.Failed)+refused > 0 {
		t.Errorf("%d posts of %d lost: %q; calls: %q; %d dials refused", len(l.lost), l.done, l.lost, r.Failed, refused)
	}
	h.stop(t)
	for _, r := range h.receipts(t) {
		if r.CutTotal+r.StuckTotal+r.Exchanges.Interrupted+r.Exchanges.Failed != 0 {
			t.Errorf("a generation cut %d, left %d, %+v", r.CutTotal, r.StuckTotal, r.Exchanges)
		}
	}
	t.Logf("%d upgrades: %d posts, %d unary calls, %d streams, 0 lost; connections of each channel: %v", n, l.done, r.Unary, r.Streams, r.Connections)
}
