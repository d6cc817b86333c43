package fleet

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// rolled is a fleet whose replicas are restarted as a supervisor does: the old process takes its turn, drains, and ends; the
// next begins.
type rolled struct {
	*troop
	budget Budget
	works  time.Duration // of a drain
	lost   map[string]int
	gone   map[string]bool // who does not come back
	old    map[string]bool // who comes back with an older policy
	mute   bool            // no account

	mu      sync.Mutex // guards what follows
	members map[string]*Member
	stops   map[string]func()
	away    int
	most    int // that were away at once
}

func newRolled(t *testing.T, replicas int, b Budget) *rolled {
	r := &rolled{troop: newTroop(t), budget: b, works: 3 * time.Second, lost: map[string]int{}, gone: map[string]bool{}, old: map[string]bool{},
		members: map[string]*Member{}, stops: map[string]func(){}}
	for i := range replicas {
		r.begin(fmt.Sprintf("r%d", i), 7)
	}
	synctest.Wait()
	return r
}

func (r *rolled) begin(id string, version uint64) {
	m, stop := r.enlist(id, Config{Budget: r.budget})
	r.mu.Lock()
	r.members[id], r.stops[id] = m, stop
	r.mu.Unlock()
	m.Tell(Facts{State: "serving", Ready: true, Policy: Policy{Number: version, Hash: fmt.Sprint(version), Ordered: true}})
}

// restart is what a supervisor does; it runs on a goroutine of its own.
func (r *rolled) restart(id string) {
	r.mu.Lock()
	m, stop := r.members[id], r.stops[id]
	r.mu.Unlock()
	m.Turn(r.ctx, "SIGTERM")
	r.mu.Lock()
	r.away++
	r.most = max(r.most, r.away)
	r.mu.Unlock()
	m.Tell(Facts{State: "draining", Leaving: true, Policy: Policy{Number: 7, Hash: "7", Ordered: true}})
	time.Sleep(r.works)
	stop()
	if !r.mute {
		_ = m.Leave(r.ctx, Account{Lost: r.lost[id], Text: "account"})
	}
	time.Sleep(time.Second)
	r.mu.Lock()
	r.away--
	if r.gone[id] {
		delete(r.stops, id)
	}
	r.mu.Unlock()
	if r.gone[id] {
		return
	}
	version := uint64(7)
	if r.old[id] {
		version = 6
	}
	r.begin(id, version)
}

func (r *rolled) end() {
	for _, stop := range r.stops {
		stop()
	}
}

// roll runs a roll to its end.
func (r *rolled) roll(cfg RollConfig, each func(time.Duration)) *Roll {
	r.t.Helper()
	cfg.Budget = r.budget
	if cfg.ReadyWithin == 0 {
		cfg.ReadyWithin = time.Minute
	}
	if cfg.StoreWait == 0 {
		cfg.StoreWait = 2 * time.Minute
	}
	roll, err := NewRoll(cfg, r.look(), time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	began := time.Now()
	for !roll.Done() {
		v, err := r.store.Look(r.ctx)
		if err != nil {
			roll.Silent(time.Now(), err)
		} else {
			for _, x := range roll.Step(time.Now(), v) {
				go r.restart(x.ID) // ends before the test: its end is awaited below
			}
		}
		time.Sleep(500 * time.Millisecond)
		if each != nil {
			each(time.Since(began))
		}
		if time.Since(began) > time.Hour {
			r.t.Fatalf("it goes on for ever: %+v", roll.Steps())
		}
	}
	time.Sleep(5 * time.Minute) // who restarts still is through by then
	r.end()
	return roll
}

func (r *rolled) states(roll *Roll) string {
	counts := map[RollState]int{}
	for _, s := range roll.Steps() {
		counts[s.State]++
	}
	return fmt.Sprint(counts)
}

func TestARollRestartsEverybodyABudgetAtATime(t *testing.T) {
	for _, b := range []Budget{{Count: 1}, {Count: 3}, {Percent: 20}} {
		synctest.Test(t, func(t *testing.T) {
			r := newRolled(t, 10, b)
			roll := r.roll(RollConfig{}, nil)
			if roll.Stopped() != "" || r.states(roll) != "map[restarted:10]" {
				t.Errorf("%v: stopped %q, %s", b, roll.Stopped(), r.states(roll))
			}
			if want := b.Of(10); r.most != want {
				t.Errorf("%v: %d were away at once, want %d", b, r.most, want)
			}
			for _, s := range roll.Steps() {
				if s.Turn != OutcomeGiven || s.New == "" || s.New == s.Old {
					t.Errorf("step %+v", s)
				}
			}
		})
	}
}

func TestARollStopsAtTheFirstLoss(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*rolled)
		cfg   RollConfig
		want  string
		left  string
	}{
		"lost":                    {func(r *rolled) { r.lost["r3"] = 2 }, RollConfig{}, "replica r3 lost 2", "map[failed:1 pending:6 restarted:3]"},
		"not back":                {func(r *rolled) { r.gone["r2"] = true }, RollConfig{}, "replica r2 is not back within 1m0s: it is gone, and not back", "map[failed:1 pending:7 restarted:2]"},
		"too old":                 {func(r *rolled) { r.old["r1"] = true }, RollConfig{}, "replica r1 is not back within 1m0s: the new process has policy version 6, which is not the newest", "map[failed:1 pending:8 restarted:1]"},
		"no account":              {func(r *rolled) { r.mute = true }, RollConfig{}, "replica r0 left no account of its end", "map[failed:1 pending:9]"},
		"and goes on without one": {func(r *rolled) { r.mute = true }, RollConfig{NoAccount: true}, "", "map[restarted:10]"},
		"head": {func(*rolled) {}, RollConfig{Head: func() Policy { return Policy{Number: 8, Hash: "8", Ordered: true} }},
			"replica r0 is not back within 1m0s: the new process has policy version 7, which is not the newest", "map[failed:1 pending:9]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRolled(t, 10, Budget{Count: 1})
				c.spoil(r)
				roll := r.roll(c.cfg, nil)
				if roll.Stopped() != c.want || r.states(roll) != c.left {
					t.Errorf("stopped %q, %s", roll.Stopped(), r.states(roll))
				}
			})
		})
	}
}

// With the store away in the middle it waits, and goes on when it is back; or stops, if that takes too long. Never are more than
// the budget away, though whoever is told to stop leaves without a turn.
func TestARollWhileTheStoreIsAway(t *testing.T) {
	for _, outage := range []time.Duration{3 * time.Second, 20 * time.Second, time.Minute, 10 * time.Minute} {
		for from := time.Duration(0); from < 12*time.Second; from += 1700 * time.Millisecond {
			synctest.Test(t, func(t *testing.T) {
				r := newRolled(t, 10, Budget{Count: 2})
				roll := r.roll(RollConfig{NoAccount: true}, func(at time.Duration) {
					r.store.SetDown(at >= from && at < from+outage)
				})
				r.store.SetDown(false)
				if r.most > 2 {
					t.Errorf("away for %v from %v on: %d were away at once", outage, from, r.most)
				}
				if stopped := roll.Stopped() != ""; stopped != (outage > 2*time.Minute) {
					t.Errorf("away for %v from %v on: stopped %q, %s", outage, from, roll.Stopped(), r.states(roll))
				}
			})
		}
	}
}

// Who is away for other reasons counts, and is not waited for without end.
func TestARollCountsOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRolled(t, 4, Budget{Count: 1})
		r.members["r3"].Tell(Facts{State: "serving"}) // not ready
		synctest.Wait()
		roll := r.roll(RollConfig{IDs: []string{"r0", "r1"}}, nil)
		if roll.Stopped() != "for 1m0s others are away: r3" || r.most != 0 {
			t.Errorf("stopped %q, %d were away", roll.Stopped(), r.most)
		}
	})
}

func TestARollIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRolled(t, 1, Budget{})
		defer r.end()
		for _, ids := range [][]string{{"nobody"}, {"r0", "r0"}} {
			if _, err := NewRoll(RollConfig{IDs: ids}, r.look(), time.Now()); err == nil {
				t.Errorf("a roll of %v was planned", ids)
			}
		}
		if _, err := NewRoll(RollConfig{}, View{}, time.Now()); err == nil {
			t.Error("a roll of nobody was planned")
		}
		roll, err := NewRoll(RollConfig{ReadyWithin: time.Minute}, r.look(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		roll.Step(time.Now(), r.look())
		if roll.Asked("r0", errors.New("no such unit")); roll.Steps()[0].State != RollFailed || !roll.Done() {
			t.Errorf("%+v", roll.Steps())
		}
	})
}
