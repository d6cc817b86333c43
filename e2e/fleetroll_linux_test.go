package e2e

import (
	"fmt"
	"maps"
	"os"
	"strconv"
	"testing"
	"time"
)

// rolls is how many rounds the long roll has: three of them have an outage of the store for each that has none.
func rolls(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("E2E_ROLLS"))
	switch {
	case err == nil && n > 0:
		return n
	case heavy():
		return 20
	}
	t.Skip("long: E2E_ROLLS=20, or make heavy")
	return 0
}

// outage is when the store is away during a roll.
type outage struct {
	name  string
	after int           // lives that ended in this round before it begins
	lasts time.Duration // 0: there is none
	flags []string
	stops bool // the roll does not wait for so long
}

func outages() []outage {
	return []outage{
		{name: "the store answers"},
		{name: "the store is away for 15 s after the 3rd", after: 3, lasts: 15 * time.Second},
		{name: "the store is away for 4 s after the 6th", after: 6, lasts: 4 * time.Second},
		{name: "the store is away for longer than --store-wait", after: 2, lasts: 20 * time.Second, flags: []string{"--store-wait", "8s"}, stops: true},
	}
}

// Ten replicas behind a balancer are rolled again and again under clients of every class, with the store away in the middle:
// the roll waits or stops, never are more away than the budget, and nothing is lost.
func TestRollsUnderLoad(t *testing.T) {
	const replicas, budget = 10, 2
	rounds := rolls(t)
	store, up := newEtcd(t), newBackends(t, 1001)
	b := newBalancer(t, 10*time.Millisecond)
	q := newSquad(t, up.upstream, replicas, func(id string) setup {
		c := instanceSetup(t, up, restart{Driver: "epoll"})
		c.lameDuck = "{min: 1200ms, max: 2400ms, quiet: 300ms, notice_after: 300ms}" // a balancer on a machine that is busy is late
		c.drain = "{timeout: 20s, idle_close: 500ms, flush: 1s, close_lead: 5s}"     // and so are clients, which have a quarter of the lead to answer a Close
		c.extra = store.member(id, fmt.Sprintf(", budget: \"%d\"", budget)).extra
		return c
	}, func(t *testing.T, s *sluice) { b.admit(s.instance(t)) })
	doors := map[entrance]string{
		toWeb:  b.open(t, "[::]:0", func(in *instance) string { return in.web }),
		toRaw:  b.open(t, "[::]:0", func(in *instance) string { return in.raw }),
		toVeil: b.open(t, "[::]:0", func(in *instance) string { return in.veil }),
	}
	f := embark(t, up, doors)
	f.warm(t, 3)
	began, most, machine := time.Now(), 0, watchStalls()
	for i := range rounds {
		o := outages()[i%len(outages())]
		before, down, up := q.lives, time.Time{}, false
		round := time.Now()
		r, code := q.roll(t, 10*time.Minute, func() {
			away := 0
			for _, s := range q.replicas {
				if s.find(msg("lame duck")) != nil {
					away++
				}
			}
			most = max(most, away)
			switch {
			case o.lasts == 0 || up:
			case down.IsZero() && q.lives-before >= o.after:
				store.turn(t, "down")
				down = time.Now()
			case !down.IsZero() && time.Since(down) >= o.lasts:
				store.turn(t, "up")
				up = true
			}
		}, append(o.flags, "--budget", strconv.Itoa(budget), "--ready-within", "3m")...)
		if !down.IsZero() && !up {
			store.turn(t, "up")
		}
		if (code != 0) != o.stops || !o.stops && (r.Restarted != replicas || r.Stopped != "") {
			t.Errorf("round %d, %s: exit %d, %+v", i+1, o.name, code, r)
		}
		q.settle(t, replicas)
		f.warm(t, 3)
		t.Logf("round %d in %v, %s: %d restarted, %q; receipts: %d lost; turns so far %v", i+1, time.Since(round).Round(time.Second), o.name, q.lives-before, r.Stopped, q.lost, q.turns)
		if t.Failed() {
			break
		}
	}
	sum := &restarted{Done: map[string]int{}}
	f.join(t, sum)
	stall := machine.finish()
	if lost := len(sum.Lost) + len(sum.Wrong) + len(sum.Problems) + sum.Refused + int(b.refused.Load()) + q.lost; lost > 0 {
		t.Errorf("lost %q, wrong %q, problems %q, %d and %d dials refused, %d by the receipts", sum.Lost, sum.Wrong, sum.Problems, sum.Refused, b.refused.Load(), q.lost)
	}
	if most > budget {
		t.Errorf("%d were away at once, budget %d", most, budget)
	}
	total := 0
	for n := range maps.Values(sum.Done) {
		total += n
	}
	t.Logf("%d rounds in %v, %d processes restarted, at most %d away at once; %d exchanges and tunnels of %d classes, %d lost: %v; turns %v; the machine stood still for %v at most",
		rounds, time.Since(began).Round(time.Second), q.lives, most, total, len(sum.Done), len(sum.Lost), sum.Done, q.turns, stall)
}

// settle starts again whoever was under way when a roll stopped, and waits until all are registered.
func (q *squad) settle(t *testing.T, n int) {
	t.Helper()
	limit := time.Now().Add(5 * patience)
	for {
		select {
		case i := <-q.ended:
			q.again(t, i)
		case <-time.After(100 * time.Millisecond):
		}
		ready := 0
		for _, s := range q.replicas {
			if s.find(msg("told to stop")) == nil && s.find(msg("lame duck")) == nil {
				ready++
			}
		}
		if ready == n {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("only %d of %d serve", ready, n)
		}
	}
	q.replicas[0].registered(t, n)
}
