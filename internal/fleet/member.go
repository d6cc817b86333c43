package fleet

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"sync"
	"time"
)

// Config says who a member is. ID and Store are needed.
type Config struct {
	Store  Store
	ID     string        // of the replica: unique in its fleet, and the same after a restart
	TTL    time.Duration // of its lease (default 15s)
	Budget Budget
	Self   Replica // Host, PID, Generation, Started and Binary are taken
	Last   *Account
	Call   time.Duration // bound of one call of the store (default 2s)
	Log    *slog.Logger  // nil: nowhere
	Now    func() time.Time
	// Changed is called, without a lock held, after each call of the store that changed what Status says of it.
	Changed func()
}

// Defaults of Config.
const (
	DefaultTTL  = 15 * time.Second
	DefaultCall = 2 * time.Second
)

// Member registers a process in its fleet and waits for turns. It is the shell of desk. Make one with New.
type Member struct {
	cfg  Config
	wake chan struct{} // of capacity 1, sent to by poke, never closed

	mu     sync.Mutex // guards what follows; never held during a call of the store
	desk   desk
	turned chan struct{} // closed and replaced when a turn was answered
}

// New returns a member that says nothing before Run.
func New(cfg Config) *Member {
	if cfg.TTL <= 0 {
		cfg.TTL = DefaultTTL
	}
	if cfg.Call <= 0 {
		cfg.Call = DefaultCall
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Changed == nil {
		cfg.Changed = func() {}
	}
	self := cfg.Self
	self.ID, self.Instance, self.Budget = cfg.ID, rand.Text()[:16], cfg.Budget.String()
	m := &Member{cfg: cfg, wake: make(chan struct{}, 1), turned: make(chan struct{})}
	m.desk = desk{self: self, ttl: cfg.TTL, budget: cfg.Budget, last: cfg.Last, counts: Stats{Turns: map[Outcome]uint64{}}}
	return m
}

// Tell says what is so now. It returns at once; what changed is written by Run.
func (m *Member) Tell(f Facts) {
	m.feed(func(d *desk, now time.Time) { d.tell(now, f) })
}

// Retire leaves replicas/<id> to a successor, which has the same ID, or takes it back.
func (m *Member) Retire(is bool) {
	m.feed(func(d *desk, _ time.Time) {
		if d.retired != is {
			d.retired, d.wrote = is, nil // whoever has it now has written it
		}
	})
}

// feed changes the desk and has Run look at it.
func (m *Member) feed(event func(*desk, time.Time)) {
	m.mu.Lock()
	event(&m.desk, m.cfg.Now())
	m.mu.Unlock()
	m.poke()
}

func (m *Member) poke() {
	select {
	case m.wake <- struct{}{}:
	default: // it has not looked since
	}
}

// Turn waits until it is this process's turn to leave: OutcomeGiven; until the store was silent for AwayAfter: OutcomeAway; or
// until ctx is done: OutcomeGone, and the claim is taken back unless Tell says that the process leaves. One at a time, while Run runs.
func (m *Member) Turn(ctx context.Context, why string) Outcome {
	m.feed(func(d *desk, now time.Time) { d.ask(now, why) })
	for {
		m.mu.Lock()
		asking, outcome, turned := m.desk.asking, m.desk.outcome, m.turned
		m.mu.Unlock()
		if !asking {
			return outcome
		}
		select {
		case <-turned:
		case <-ctx.Done():
			m.feed(func(d *desk, now time.Time) { d.answer(now, OutcomeGone) })
			return OutcomeGone
		}
	}
}

// Run keeps what the store says of this process true, until ctx is done. What is there then stays until Leave, or the end of the lease.
func (m *Member) Run(ctx context.Context) {
	var hints <-chan struct{} // while it asks
	var watchAt time.Time     // not before: one that ends at once is not begun as often as it can end
	unwatch := func() {}
	defer func() { unwatch() }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		again := m.step(ctx)
		if again.IsZero() {
			continue
		}
		if asks := m.asks(); asks && hints == nil && !m.cfg.Now().Before(watchAt) {
			watch, cancel := context.WithCancel(ctx)
			unwatch()
			unwatch = cancel
			if h, err := m.cfg.Store.Watch(watch); err == nil {
				hints = h
			}
		} else if !asks && hints != nil {
			unwatch()
			hints = nil
		}
		timer.Reset(max(0, again.Sub(m.cfg.Now())))
		select {
		case <-m.wake:
		case <-timer.C:
		case _, ok := <-hints:
			if !ok {
				hints, watchAt = nil, m.cfg.Now().Add(lookEvery) // looked again at the next time that is due anyway
				continue
			}
			m.feed(func(d *desk, _ time.Time) { d.lookAt = time.Time{} })
		case <-ctx.Done():
		}
	}
}

func (m *Member) asks() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.desk.asking
}

// step does one thing at the store, or says when there will be one.
func (m *Member) step(ctx context.Context) (again time.Time) {
	m.mu.Lock()
	asked, turned := m.desk.asking, m.turned
	o, again := m.desk.next(m.cfg.Now())
	m.mu.Unlock()
	var r result
	if o.kind != opNone {
		again = time.Time{}
		r = m.call(ctx, o)
	}
	m.mu.Lock()
	before := m.desk.failed != nil
	stranger := m.desk.stranger
	if o.kind != opNone && ctx.Err() == nil {
		m.desk.done(m.cfg.Now(), o, r)
	}
	now, lost := m.desk.failed != nil, r.err == ErrLeaseLost
	if asked && !m.desk.asking && m.turned == turned {
		close(m.turned)
		m.turned = make(chan struct{})
	}
	found := m.desk.stranger
	m.mu.Unlock()
	m.say(before, now, lost, r.err)
	if found != stranger && found != nil {
		m.cfg.Log.Warn("another process has this ID in the fleet: two replicas of one ID count as one (fleet.id)", "id", m.cfg.ID, "host", found.Host, "pid", found.PID)
	}
	return again
}

// say logs what changed about the store, once.
func (m *Member) say(before, now, lost bool, err error) {
	switch {
	case now && !before:
		m.cfg.Log.Warn("the store of the fleet does not answer; serving on, and a stop will not wait for its turn", "err", err)
	case before && !now:
		m.cfg.Log.Info("the store of the fleet answers again")
	}
	if lost {
		m.cfg.Log.Warn("the lease in the fleet was over; registering again")
	}
	if now != before || lost {
		m.cfg.Changed()
	}
}

// call does an op.
func (m *Member) call(ctx context.Context, o op) (r result) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Call)
	defer cancel()
	s, id := m.cfg.Store, m.cfg.ID
	switch o.kind {
	case opNone:
	case opGrant:
		r.lease, r.err = s.Grant(ctx, m.cfg.TTL)
	case opRenew:
		r.err = s.Renew(ctx, o.lease)
	case opLook:
		r.view, r.err = s.Look(ctx)
	case opWriteReplica:
		r.err = s.Set(ctx, Replicas, id, encode(o.replica), o.lease)
	case opDropReplica:
		r.err = s.Unset(ctx, Replicas, id, o.lease)
	case opWriteClaim:
		r.err = s.Set(ctx, Drains, id, encode(o.claim), o.lease)
	case opDropClaim, opSweep:
		r.err = s.Unset(ctx, Drains, id, o.lease)
	}
	return r
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: fleet: a record is always JSON: " + err.Error())
	}
	return b
}

// Leave says how the process ended, as its last act, after Run. It gives up when ctx is done, or at once if the store does not
// answer: then the lease tells, later.
func (m *Member) Leave(ctx context.Context, a Account) error {
	m.mu.Lock()
	a.Instance, a.PID, a.Turn = m.desk.self.Instance, m.desk.self.PID, m.desk.outcome
	m.desk.final, m.desk.asking = &a, false
	known := m.desk.lease != 0
	m.mu.Unlock()
	if !known {
		return nil // nothing of ours is there
	}
	for {
		again := m.step(ctx)
		m.mu.Lock()
		err := m.desk.failed
		m.mu.Unlock()
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !again.IsZero():
			return nil
		}
	}
}
