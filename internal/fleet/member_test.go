package fleet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// troop is members on one store in virtual time.
type troop struct {
	t     *testing.T
	store *Memory
	ctx   context.Context
}

func newTroop(t *testing.T) *troop { return &troop{t, NewMemory(nil), t.Context()} }

// member starts one; stop ends Run.
func (tr *troop) member(id string, c Config) (m *Member, stop func()) {
	m, stop = tr.enlist(id, c)
	synctest.Wait()
	return m, stop
}

// enlist is member, and does not wait until it is registered.
func (tr *troop) enlist(id string, c Config) (m *Member, stop func()) {
	c.Store, c.ID = tr.store, id
	m = New(c)
	ctx, cancel := context.WithCancel(tr.ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); m.Run(ctx) }() // ends with stop
	m.Tell(Facts{State: "serving", Ready: true})
	return m, func() { cancel(); <-ended }
}

func (tr *troop) look() View {
	tr.t.Helper()
	v, err := tr.store.Look(tr.ctx)
	if err != nil {
		tr.t.Fatal(err)
	}
	return v
}

// It is in the store with what it said last, for as long as it lives and no longer than its lease.
func TestPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTroop(t)
		m, stop := tr.member("a", Config{TTL: 9 * time.Second})
		m.Tell(Facts{State: "serving", Ready: true, Policy: Policy{Number: 7, Hash: "h7"}})
		time.Sleep(time.Minute)
		list := tr.look().Replicas()
		if len(list) != 1 || list[0].ID != "a" || list[0].Policy.Number != 7 || !list[0].Ready {
			t.Fatalf("replicas %+v", list)
		}
		if s := m.Status(); !s.Registered || s.Error != "" || s.LeasesLost != 0 {
			t.Errorf("status %+v", s)
		}
		writes := tr.store.Counts().Writes
		for range 9 { // the load alone is written once in a TTL
			m.Tell(Facts{State: "serving", Ready: true, Policy: Policy{Number: 7, Hash: "h7"}, Connections: rand.IntN(1000) + 1})
			time.Sleep(time.Second)
		}
		if n := tr.store.Counts().Writes - writes; n < 1 || n > 2 {
			t.Errorf("%d writes of the load in a TTL", n)
		}
		stop()
		time.Sleep(10 * time.Second)
		if list := tr.look().Replicas(); len(list) != 0 {
			t.Errorf("after its lease: %+v", list)
		}
	})
}

// A lease that was lost is got again, and all that was bound to it.
func TestALostLeaseIsRegisteredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTroop(t)
		m, stop := tr.member("a", Config{})
		defer stop()
		m.Tell(Facts{State: "draining", Leaving: true})
		synctest.Wait()
		tr.store.Expire(tr.look().Entries[0].Lease)
		time.Sleep(DefaultTTL)
		v := tr.look()
		if len(v.Replicas()) != 1 || len(v.Line()) != 1 || v.Line()[0].Phase != PhaseAway {
			t.Errorf("view %+v", v)
		}
		if s := m.Status(); s.LeasesLost != 1 {
			t.Errorf("status %+v", s)
		}
	})
}

// Turns are given one at a time, in the order in which they were asked for.
func TestTurnsComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTroop(t)
		var mu sync.Mutex
		var order []string
		var wg sync.WaitGroup
		for i := range 5 {
			id := fmt.Sprint(i)
			m, stop := tr.member(id, Config{})
			defer stop()
			wg.Go(func() { // ends when it has been away
				if got := m.Turn(tr.ctx, "SIGTERM"); got != OutcomeGiven {
					t.Errorf("%s: %v", id, got)
				}
				mu.Lock()
				order = append(order, id)
				mu.Unlock()
				m.Tell(Facts{State: "lame_duck", Leaving: true})
				time.Sleep(10 * time.Second)
				if line := tr.look().Line(); line[0].ID != id || line[0].Phase != PhaseAway || line[0].Turn != OutcomeGiven {
					t.Errorf("away, and the line is %+v", line)
				}
				m.Tell(Facts{State: "drained"})
			})
			synctest.Wait()
		}
		wg.Wait()
		if got := fmt.Sprint(order); got != "[0 1 2 3 4]" {
			t.Errorf("order %v", got)
		}
	})
}

// Whatever happens to replicas and to the store for a while, no more than the budget have a turn at a time, and whoever is
// told to stop leaves in the end. A replica that was not given a turn says so.
func TestTheBudgetHolds(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { budgetHolds(t, seed) }) })
	}
}

func budgetHolds(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	tr := newTroop(t)
	const replicas = 8
	budget := Budget{Count: 1 + rng.IntN(3)}
	if seed%2 == 0 {
		budget = Budget{Percent: 10 + rng.IntN(30)}
	}
	var mu sync.Mutex
	away, given := map[string]bool{}, 0
	var wg sync.WaitGroup
	for i := range replicas {
		id := fmt.Sprint(i)
		pause, works := time.Duration(rng.IntN(20_000))*time.Millisecond, time.Duration(1+rng.IntN(9000))*time.Millisecond
		returns := time.Duration(rng.IntN(5000)) * time.Millisecond
		m, stop := tr.member(id, Config{Budget: budget})
		wg.Go(func() { // ends after its second life
			time.Sleep(pause)
			ctx, cancel := context.WithTimeout(tr.ctx, time.Hour)
			defer cancel()
			asked := time.Now()
			outcome := m.Turn(ctx, "SIGTERM")
			mu.Lock()
			if outcome == OutcomeGiven {
				away[id] = true
				given++
			} else {
				t.Logf("%s was told %v after %v: %+v", id, outcome, time.Since(asked), m.Status())
				if n := len(away); n > budget.Of(replicas) {
					t.Errorf("%d are away at once, budget %v: %v", n, budget, away)
				}
			}
			mu.Unlock()
			m.Tell(Facts{State: "draining", Leaving: true})
			time.Sleep(works)
			stop()
			if err := m.Leave(tr.ctx, Account{Lost: int(seed % 2)}); err != nil && outcome == OutcomeGiven {
				t.Logf("%s: %v", id, err)
			}
			time.Sleep(returns)
			mu.Lock()
			delete(away, id) // from here on it may be ready again
			mu.Unlock()
			next, end := tr.member(id, Config{Budget: budget})
			time.Sleep(time.Minute)
			end()
			if next.Status().Registered == false {
				t.Errorf("%s is not back", id)
			}
		})
	}
	time.Sleep(10 * time.Second)
	if seed%3 == 0 { // with the second between two looks less than AwayAfter: nobody goes without
		tr.store.SetDown(true)
		time.Sleep(3 * time.Second)
		tr.store.SetDown(false)
	}
	wg.Wait()
	if given != replicas {
		t.Errorf("%d of %d were given a turn", given, replicas)
	}
	if line := tr.look().Line(); len(line) != 0 {
		t.Errorf("all are back, and the line is %+v", line)
	}
}

// A store that is away keeps nobody for longer than AwayAfter and a call, and nobody hangs who leaves.
func TestAStoreThatIsAwayKeepsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTroop(t)
		m, stop := tr.member("a", Config{})
		tr.store.SetDown(true)
		time.Sleep(time.Hour)
		began := time.Now()
		if got := m.Turn(tr.ctx, "SIGTERM"); got != OutcomeAway {
			t.Errorf("told %v", got)
		}
		if took := time.Since(began); took < AwayAfter || took > AwayAfter+2*time.Second {
			t.Errorf("after %v", took)
		}
		if s := m.Status(); s.Error == "" || s.Failures == 0 || s.Turns.StoreAway != 1 || s.Registered {
			t.Errorf("status %+v", s)
		}
		m.Tell(Facts{State: "draining", Leaving: true})
		stop()
		began = time.Now()
		if err := m.Leave(tr.ctx, Account{}); err == nil {
			t.Error("it left word at a store that is away")
		}
		if took := time.Since(began); took > retryMax {
			t.Errorf("Leave took %v", took)
		}
	})
}

// One that is told to go without its turn takes its claim back, or counts as away if it leaves.
func TestWhoDoesNotWaitAnyMore(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			tr := newTroop(t)
			first, stop := tr.member("a", Config{})
			defer stop()
			first.Turn(tr.ctx, "SIGTERM")
			first.Tell(Facts{State: "draining", Leaving: true})
			m, stop := tr.member("b", Config{})
			defer stop()
			ctx, cancel := context.WithTimeout(tr.ctx, 3*time.Second)
			defer cancel()
			if got := m.Turn(ctx, "SIGTERM"); got != OutcomeGone {
				t.Errorf("told %v", got)
			}
			m.Tell(Facts{State: "x", Leaving: leaves})
			synctest.Wait()
			line := tr.look().Line()
			if leaves && (len(line) != 2 || line[1].Phase != PhaseAway || line[1].Turn != OutcomeGone) || !leaves && len(line) != 1 {
				t.Errorf("leaves %v, line %+v", leaves, line)
			}
		})
	}
}

// The account of an end is with the next life, which takes the claim away when it is ready, and not before.
func TestTheNextLifeTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTroop(t)
		m, stop := tr.member("a", Config{})
		m.Turn(tr.ctx, "SIGTERM")
		m.Tell(Facts{State: "draining", Leaving: true})
		synctest.Wait()
		stop()
		if err := m.Leave(tr.ctx, Account{Lost: 3, Text: "3 cut"}); err != nil {
			t.Fatal(err)
		}
		v := tr.look()
		if len(v.Replicas()) != 0 || len(v.Line()) != 1 || v.Line()[0].Phase != PhaseEnded {
			t.Fatalf("after its end: %+v", v)
		}
		next, stop := tr.member("a", Config{})
		defer stop()
		next.Tell(Facts{State: "starting"})
		synctest.Wait()
		next.Tell(Facts{State: "serving", Ready: true})
		synctest.Wait()
		v = tr.look()
		if len(v.Line()) != 0 {
			t.Errorf("ready, and the line is %+v", v.Line())
		}
		last := v.Replicas()[0].Last
		if last == nil || last.Lost != 3 || last.Instance != m.Status().Instance || last.Turn != OutcomeGiven {
			t.Errorf("last %+v", last)
		}
	})
}

// A predecessor that handed over leaves its ID to the successor and still counts as away; its end takes nothing with it.
func TestAnUpgradeInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTroop(t)
		old, stopOld := tr.member("a", Config{Self: Replica{Generation: 1}})
		if got := old.Turn(tr.ctx, "upgrade"); got != OutcomeGiven {
			t.Fatal(got)
		}
		old.Retire(true)
		old.Tell(Facts{State: "serving", Ready: true, Leaving: true})
		_, stopNext := tr.member("a", Config{Self: Replica{Generation: 2}})
		defer stopNext()
		old.Tell(Facts{State: "draining", Leaving: true})
		time.Sleep(time.Minute)
		v := tr.look()
		if r := v.Replicas(); len(r) != 1 || r[0].Generation != 2 {
			t.Errorf("replicas %+v", r)
		}
		if l := v.Line(); len(l) != 1 || l[0].Phase != PhaseAway {
			t.Errorf("line %+v", l)
		}
		stopOld()
		if err := old.Leave(tr.ctx, Account{}); err != nil {
			t.Fatal(err)
		}
		v = tr.look()
		if r := v.Replicas(); len(r) != 1 || len(v.Line()) != 0 {
			t.Errorf("after its end: %+v", v)
		}
	})
}
