package enginetest

import (
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Referee watches drivers and handlers keep the contract of package engine. Set Fault,
// then give Watch's result to Start. One Referee may watch the shards of one driver.
type Referee struct {
	// Fault is told of each breach. testing.T.Errorf fits. It may be called from any
	// goroutine, and after the test's own code has returned if the driver outlives it.
	Fault func(format string, args ...any)

	mu     sync.Mutex // guards shards; never held in a call of a handler
	shards []*watch
}

// Watch wraps what makes handlers. Every handler gets a Shard that is watched too.
func (r *Referee) Watch(newHandler func(engine.Shard) engine.Handler) func(engine.Shard) engine.Handler {
	return func(sh engine.Shard) engine.Handler {
		w := &watch{fault: r.Fault, sh: sh, conns: map[engine.ConnID]*account{}, slots: map[int]engine.ConnID{}, dead: map[engine.ConnID]bool{}}
		r.mu.Lock()
		r.shards = append(r.shards, w)
		r.mu.Unlock()
		w.h = newHandler(watchedShard{w})
		return w
	}
}

// Final is to be called once the driver is closed: no connection may be left.
func (r *Referee) Final() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.shards {
		for id := range w.conns {
			r.Fault("connection %#x never had its Closed", id)
		}
	}
}

// phase is where a connection stands.
//
//	dialing ──▶ open ──▶ ending ──▶ (dead: the account is gone)
//	    └──────────────────▲
type phase uint8

const (
	dialing phase = iota
	open
	ending // Close or Abort was called: only Closed may come
)

// account is what the referee remembers of a connection.
type account struct {
	phase   phase
	paused  bool
	eof     bool                        // EOF was called
	fin     bool                        // CloseWrite was called
	owed    bool                        // Send was called since the last Sent
	answers int                         // Asks not yet answered
	moving  bool                        // a Move out of it runs
	filling engine.ConnID               // the source of a Move into it; 0: none
	due     [engine.NumTimers]time.Time // zero: disarmed
}

// watch is the referee of one shard. Its fields have no lock on purpose: a driver that
// calls from two goroutines without order between them is a data race here, which
// -race reports even where the calls happen not to overlap.
type watch struct {
	fault func(format string, args ...any)
	sh    engine.Shard
	h     engine.Handler

	busy  string // the handler call that runs; empty outside
	conns map[engine.ConnID]*account
	slots map[int]engine.ConnID
	dead  map[engine.ConnID]bool // ever: an ID is never given twice
	got   []byte                 // scratch of Received
	put   []byte                 // scratch of Send
}

const scribble = 0xDB

func spoil(b []byte) {
	for i := range b {
		b[i] = scribble
	}
}

// begin opens a handler call; the result ends it.
func (w *watch) begin(call string) {
	if w.busy != "" {
		w.fault("%s while %s runs: one call at a time", call, w.busy)
	}
	w.busy = call
}

func (w *watch) end() { w.busy = "" }

// find is the account that a handler call is about. A call for an ID that names
// nothing gets a fresh one, so that one breach is one fault.
func (w *watch) find(call string, id engine.ConnID) *account {
	if a := w.conns[id]; a != nil {
		return a
	}
	if w.dead[id] {
		w.fault("%s(%#x) after its last word", call, id)
	} else {
		w.fault("%s(%#x) of an unknown connection", call, id)
	}
	return &account{phase: open, owed: true, answers: 1, moving: true}
}

// running is find for calls that only an open connection may get.
func (w *watch) running(call string, id engine.ConnID) *account {
	a := w.find(call, id)
	switch a.phase {
	case open:
	case dialing:
		w.fault("%s(%#x) before Dialed", call, id)
	case ending:
		w.fault("%s(%#x) after Close or Abort", call, id)
	}
	return a
}

func (w *watch) add(id engine.ConnID, p phase) *account {
	switch {
	case id == 0, id.Gen() == 0:
		w.fault("ID %#x: the zero ID and generation 0 name nothing", id)
	case id.Shard() != w.sh.Index():
		w.fault("ID %#x on shard %d", id, w.sh.Index())
	case w.conns[id] != nil, w.dead[id]:
		w.fault("ID %#x was given twice", id)
	}
	if other, taken := w.slots[id.Slot()]; taken {
		w.fault("ID %#x has the slot of %#x, which is not closed", id, other)
	}
	a := &account{phase: p}
	w.conns[id], w.slots[id.Slot()] = a, id
	return a
}

// movesEnd: a connection is over, and with it the Moves into it and out of it.
func (w *watch) movesEnd(id engine.ConnID, a *account) {
	if src := w.conns[a.filling]; src != nil {
		src.moving = false
	}
	a.filling = 0
	if !a.moving {
		return
	}
	a.moving = false
	for _, dst := range w.conns {
		if dst.filling == id {
			dst.filling = 0
		}
	}
}

func (w *watch) remove(id engine.ConnID) {
	if a := w.conns[id]; a != nil {
		w.movesEnd(id, a)
	}
	delete(w.conns, id)
	if w.slots[id.Slot()] == id {
		delete(w.slots, id.Slot())
	}
	w.dead[id] = true
}
