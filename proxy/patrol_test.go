package proxy

import (
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// What the kernel says of a peer, look by look, and what is concluded.
func TestPeerWatch(t *testing.T) {
	const bound = 5 * time.Second
	type look struct {
		after time.Duration // since the look before
		v     engine.Vital
	}
	each := func(n int, after time.Duration, v func(i int) engine.Vital) (all []look) {
		for i := range n {
			all = append(all, look{after, v(i)})
		}
		return all
	}
	for name, c := range map[string]struct {
		looks []look
		want  drain.Cause // CauseIdle: it is waited for
		at    int         // the look that says so
	}{
		"it takes a byte now and then": {each(60, time.Second, func(i int) engine.Vital {
			return engine.Vital{Acked: int64(i / 4), Pending: 1 << 20}
		}), 0, -1},
		"it takes nothing": {each(20, time.Second, func(int) engine.Vital {
			return engine.Vital{Acked: 7, Pending: 1}
		}), drain.CausePeerStuck, 5},
		"it is owed nothing": {each(60, time.Second, func(int) engine.Vital { return engine.Vital{Acked: 7} }), 0, -1},
		"it is owed something late": {each(60, time.Second, func(i int) engine.Vital {
			return engine.Vital{Pending: int64(i / 30)}
		}), drain.CausePeerStuck, 34},
		"it was quiet for an hour before the drain, and answers probes since": {each(60, time.Second, func(i int) engine.Vital {
			if i < 2 {
				return engine.Vital{Heard: time.Hour}
			}
			return engine.Vital{Heard: 900 * time.Millisecond}
		}), 0, -1},
		"nothing is heard of it": {each(60, time.Second, func(i int) engine.Vital {
			return engine.Vital{Heard: time.Hour + time.Duration(i)*time.Second}
		}), drain.CausePeerGone, 5},
	} {
		w, now := peerWatch{}, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		got, at := drain.CauseIdle, -1
		for i, l := range c.looks {
			now = now.Add(l.after)
			if why, over := w.judge(l.v, now, bound); over {
				got, at = why, i
				break
			}
		}
		if got != c.want || at != c.at {
			t.Errorf("%s: %v at look %d, want %v at %d", name, got, at, c.want, c.at)
		}
	}
	// Silence means something only after a few probes could have been answered.
	w := peerWatch{}
	begin := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 3 {
		if _, over := w.judge(engine.Vital{Heard: time.Hour}, begin.Add(time.Duration(i)*1400*time.Millisecond), time.Second); over {
			t.Errorf("given up after %v of silence", time.Duration(i)*1400*time.Millisecond)
		}
	}
}
