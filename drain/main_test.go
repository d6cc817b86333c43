package drain_test

import (
	"net/netip"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/drain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var meta = drain.Meta{Listener: "web", Protocol: "http", Peer: netip.MustParseAddrPort("192.0.2.7:4711")}

// opened is a tracker that admits.
func opened(t testing.TB, cfg drain.Config) *drain.Tracker {
	t.Helper()
	tr := drain.New(cfg)
	if err := tr.Open(); err != nil {
		t.Fatalf("open: %v", err)
	}
	return tr
}

func track(t testing.TB, tr *drain.Tracker, onEvict func(drain.Cause)) *drain.Conn {
	t.Helper()
	c, err := tr.Track(meta, onEvict)
	if err != nil {
		t.Fatalf("track in %v: %v", tr.State(), err)
	}
	return c
}

// mustPanic runs f and fails unless it panics.
func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s did not panic", what)
		}
	}()
	f()
}
