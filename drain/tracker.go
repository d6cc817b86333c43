package drain

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Tracker admits connections and accounts for them until they are gone. Make one with
// New. All methods are safe for concurrent use.
type Tracker struct {
	cfg   Config
	start time.Time // tick 0

	// Read for every response, so kept out of the lock.
	tellUpTo atomic.Uint64 // connections with an ID up to this are told to leave
	bid      atomic.Uint32 // and those that were bidden by the notice of this number; 0: none runs
	leaveID  atomic.Uint64 // the last ID given before Leave; 0 outside Leaving
	leftTick atomic.Uint64 // of Leave
	ordered  atomic.Bool   // some Terms have an Order
	shortest atomic.Int64  // Deadline of any Terms; 0: none has one
	early    atomic.Bool   // some Terms want a farewell when draining begins
	told     atomic.Uint64 // connections told to leave, ever
	arrivals arrivals

	// drained is closed by switchTo on the edge to Drained, once.
	drained chan struct{}
	// nudged makes the shell of Drain look again. Of capacity 1, sent to by nudge, never closed.
	nudged chan struct{}

	looking sync.Mutex // one Stats at a time; guards the following
	counted uint64     // exchanges of the latest Stats: it never counts backwards

	mu            sync.Mutex // guards what follows, and the fields of Conn that say so
	state         State
	since         time.Time     // of the last edge
	changed       chan struct{} // closed and replaced by switchTo at every edge
	lastID        uint64
	table         table
	kinds         []*kind
	leftAt        time.Time
	arrivedBefore int // arrivals in the window before Leave
	notice        notice
	totals        totals
	account       account
	run           run
}

// totals only grow. Guarded by Tracker.mu.
type totals struct {
	tracked         uint64
	refusedShut     uint64
	refusedDraining uint64
	outcomes        [numOutcomes]uint64
	exchanges       uint64 // finished on connections that are gone
}

// New returns a tracker that is Shut. It panics if cfg does not validate: the
// configuration is checked where it is read.
func New(cfg Config) *Tracker {
	if err := cfg.Validate(); err != nil {
		panic("BUG: drain: invalid config: " + err.Error())
	}
	cfg = cfg.withDefaults()
	now := cfg.Now()
	return &Tracker{
		cfg:     cfg,
		start:   now,
		since:   now,
		drained: make(chan struct{}),
		nudged:  make(chan struct{}, 1),
		changed: make(chan struct{}),
	}
}

// tick is the current time in milliseconds since New, rounded up so that nothing ever
// seems to have idled for longer than it did.
func (t *Tracker) tick() uint64 { return t.tickAt(t.cfg.Now()) }

func (t *Tracker) tickAt(now time.Time) uint64 {
	return uint64(max(0, now.Sub(t.start)+time.Millisecond-1) / time.Millisecond)
}

// State is the state of this moment; it may be another by the time it is looked at.
// To decide on a connection, call Track.
func (t *Tracker) State() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

// Watch returns the state and a channel that the tracker closes at the next edge.
func (t *Tracker) Watch() (State, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state, t.changed
}

// Drained returns a channel that is closed when the account is closed: at the last
// Done of a drain, before that call returns, or when the settle time after the
// deadline is over (the receipt then names what is stuck).
//
// Invariant 6: quiescence is this channel; nothing polls.
func (t *Tracker) Drained() <-chan struct{} { return t.drained }

// switchTo makes an edge of the diagram of State. Call with mu held.
func (t *Tracker) switchTo(next State, now time.Time) {
	if !t.state.follows(next) {
		panic("BUG: drain: " + t.state.String() + " => " + next.String())
	}
	t.state, t.since = next, now
	close(t.changed)
	t.changed = make(chan struct{})
	if next == Drained {
		close(t.drained)
	}
}

// Open admits: Shut to Open, or Leaving back to Open (undrain). Open again is a no-op.
// It returns ErrDraining once draining began: there is no way back from there.
func (t *Tracker) Open() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch t.state {
	case Open:
	case Shut:
		t.switchTo(Open, t.cfg.Now())
	case Leaving:
		t.endNotice()
		t.tellUpTo.Store(0)
		t.leaveID.Store(0)
		t.switchTo(Open, t.cfg.Now())
	case Draining, Drained:
		return ErrDraining
	}
	return nil
}

// Track admits a connection and counts it, or refuses it with ErrShut or ErrDraining.
//
// onEvict is called at most four times (as idle, as a farewell, for a cause of its own, and at
// the deadline), from Step or Evict and without any lock held: it only queues to the owner of
// the connection. It may come a moment after Done, when the two crossed; the owner then
// finds the connection gone and does nothing.
//
// Invariant 1: the state is looked at and the connection counted under one lock.
// Otherwise a drain could see nobody in flight between the look and the count, declare
// quiescence, and lose the connection.
func (t *Tracker) Track(m Meta, onEvict func(Cause)) (*Conn, error) {
	now := t.cfg.Now()
	c := &Conn{t: t, from: m.Peer, ref: m.Ref, born: now.Sub(t.start), evict: onEvict}
	c.state.Store(uint64(makeWord(Handshake, 0, t.tickAt(now))))

	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.cfg.Faults.CountWithoutState {
		switch t.state {
		case Open, Leaving:
		case Draining, Drained:
			t.totals.refusedDraining++
			return nil, ErrDraining
		case Shut:
			t.totals.refusedShut++
			return nil, ErrShut
		}
	}
	t.lastID++
	c.id, c.kind = t.lastID, t.kind(m)
	t.table.add(c)
	t.totals.tracked++
	return c, nil
}

// kind returns the one copy of what m has in common with others: there are as many as
// listeners. Call with mu held.
func (t *Tracker) kind(m Meta) *kind {
	for _, k := range t.kinds {
		if k.listener == m.Listener && k.protocol == m.Protocol {
			return k
		}
	}
	k := &kind{m.Listener, m.Protocol}
	t.kinds = append(t.kinds, k)
	return k
}

// done is Conn.Done.
func (t *Tracker) done(c *Conn, o Outcome) {
	now := t.cfg.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	w := c.load()
	if w.class() == Gone {
		panic("BUG: drain: Done twice")
	}
	if c.index < 0 { // forgotten by a fault
		c.state.Store(uint64(makeWord(Gone, w.started(), t.tickAt(now))))
		return
	}
	t.totals.outcomes[o]++
	t.totals.exchanges += uint64(w.finished())
	if w.class() == Active && o == Completed {
		t.totals.exchanges++
	}
	if o != Cut {
		c.outlived(w, t.tickAt(now))
	}
	t.settle(c, w, o, now)
	c.state.Store(uint64(makeWord(Gone, w.started(), t.tickAt(now))))
	t.table.remove(c)
	t.quiesce(now)
}

// quiesce ends the drain if nobody is left. Call with mu held.
func (t *Tracker) quiesce(now time.Time) {
	left := 0
	if t.cfg.Faults.QuiesceEarly {
		left = 1
	}
	if t.state == Draining && t.table.n <= left {
		t.finish(now, EndedByLastHandle)
	}
}

// forget serves Faults.TunnelForgotten.
func (t *Tracker) forget(c *Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.index >= 0 {
		t.table.remove(c)
		t.quiesce(t.cfg.Now())
	}
}

// everybody is above every ID.
const everybody = math.MaxUint64
