package drain

import (
	"testing"
	"time"
)

func TestWordKeepsItsParts(t *testing.T) {
	for _, c := range []struct {
		class   Class
		started uint32
		since   uint64
	}{{Handshake, 0, 0}, {Idle, 1, 1}, {Tunnel, startedMask, sinceMask}, {Gone, 12345, 1 << 33}} {
		w := makeWord(c.class, c.started, c.since)
		if w.class() != c.class || w.started() != c.started || w.since() != c.since {
			t.Errorf("%+v came back as %v %d %d", c, w.class(), w.started(), w.since())
		}
	}
}

func TestWordCountsModulo(t *testing.T) {
	full := makeWord(Active, startedMask+1, 0) // wrapped to 0, and one of them runs
	if got := full.finished(); got != startedMask {
		t.Errorf("finished %d, want %d", got, startedMask)
	}
	if got := exchangesBetween(startedMask-1, 2); got != 4 {
		t.Errorf("%d exchanges across the wrap, want 4", got)
	}
}

func TestWordLasted(t *testing.T) {
	for _, c := range []struct {
		since, now uint64
		want       time.Duration
	}{
		{5, 5, 0},
		{5, 8, 3 * time.Millisecond},
		{6, 5, 0}, // began after now: ticks are rounded up
		{sinceMask, sinceMask + 3, 3 * time.Millisecond},               // across the wrap
		{0, sinceMask - slack, (sinceMask - slack) * time.Millisecond}, // 198 days
	} {
		if got := makeWord(Idle, 0, c.since).lasted(c.now); got != c.want {
			t.Errorf("since %d, now %d: lasted %v, want %v", c.since, c.now, got, c.want)
		}
	}
}
