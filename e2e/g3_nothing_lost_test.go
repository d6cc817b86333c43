package e2e

import (
	"testing"
	"time"
)

// G3: nothing that reached us is lost if it can end inside the budget.

func TestG3KeepAlivePostsThroughAStop(t *testing.T) {
	repeat(t, stop{clients: 64, load: keepAlivePosts, warm: 500})
}

func TestG3ConnectionPerRequestThroughAStop(t *testing.T) {
	repeat(t, stop{clients: 64, load: getsOfTheirOwn, warm: 500})
}

func TestG3UpgradedTunnelsThroughAStop(t *testing.T) {
	repeat(t, stop{clients: 32, load: upgradedEchoes, tunnels: true, warm: 500})
}

func TestG3RawTunnelsThroughAStop(t *testing.T) {
	repeat(t, stop{clients: 32, load: rawEchoes, tunnels: true, raw: true, warm: 500})
}

// TestG3ShippedDefaults stops with the settings that nobody changed.
func TestG3ShippedDefaults(t *testing.T) {
	if testing.Short() {
		t.Skip("a stop at the defaults takes 10 s and more")
	}
	n := 1
	if heavy() {
		n = 5
	}
	up := newUpstream(t)
	for range n {
		for _, s := range []stop{
			{clients: 64, load: keepAlivePosts, warm: 500},
			{clients: 64, load: getsOfTheirOwn, warm: 500},
		} {
			s.setup = setup{lameDuck: "default", drain: "default"}
			s.within = time.Minute
			o := s.play(t, up)
			o.flawless(t, 5*time.Second)
			t.Logf("%d exchanges, %d refused dials, drained in %v", o.ledger.done, o.ledger.refused, o.receipt.last().Sub(o.timeline.signal))
		}
	}
}

// repeat plays a stop as often as the suite asks for, with a lame duck of 200 ms.
func repeat(t *testing.T, s stop) {
	t.Helper()
	up := newUpstream(t)
	s.within = patience
	done, refused := 0, 0
	for i := range stops(t) {
		o := s.play(t, up)
		o.flawless(t, 200*time.Millisecond)
		if t.Failed() {
			t.Fatalf("at stop %d", i+1)
		}
		done, refused = done+o.ledger.done, refused+o.ledger.refused
	}
	t.Logf("%d stops: %d exchanges, 0 lost, %d refused dials", stops(t), done, refused)
}
