package enginetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a driver's shard that believes everything.
type fake struct {
	now    time.Time
	queued int
	ask    bool
	move   bool
	next   engine.ConnID
}

func (f *fake) Index() int                                                   { return 0 }
func (f *fake) Now() time.Time                                               { return f.now }
func (f *fake) Dial(string, time.Duration) engine.ConnID                     { return f.next }
func (f *fake) Send(engine.ConnID, []byte)                                   {}
func (f *fake) Acked(engine.ConnID) int64                                    { return -1 }
func (f *fake) Unread(engine.ConnID) bool                                    { return false }
func (f *fake) Check(engine.ConnID, time.Duration) (v engine.Vital, ok bool) { return v, false }
func (f *fake) Queued(engine.ConnID) int                                     { return f.queued }
func (f *fake) Pause(engine.ConnID)                                          {}
func (f *fake) Resume(engine.ConnID)                                         {}
func (f *fake) Move(_, _ engine.ConnID, _ int64) bool                        { return f.move }
func (f *fake) CloseWrite(engine.ConnID)                                     {}
func (f *fake) Close(engine.ConnID, time.Duration)                           {}
func (f *fake) Abort(engine.ConnID)                                          {}
func (f *fake) Arm(engine.ConnID, engine.Timer, time.Duration)               {}
func (f *fake) Ask(engine.ConnID, func() any) bool                           { return f.ask }

// doing is a handler that does one thing in Notice, and keeps the last b it was given.
type doing struct {
	kept []byte
}

func (d *doing) Notice(v any)                              { v.(func())() }
func (d *doing) Received(_ engine.ConnID, b []byte)        { d.kept = b }
func (d *doing) Accepted(engine.ConnID, int, engine.Peer)  {}
func (d *doing) Dialed(engine.ConnID, error)               {}
func (d *doing) EOF(engine.ConnID)                         {}
func (d *doing) Sent(engine.ConnID)                        {}
func (d *doing) Closed(engine.ConnID, engine.End)          {}
func (d *doing) Fired(engine.ConnID, engine.Timer)         {}
func (d *doing) Answer(engine.ConnID, any)                 {}
func (d *doing) Moved(_, _ engine.ConnID, _ int64, _ bool) {}

// game is a referee with a driver and a handler that the test plays.
type game struct {
	driver  *fake
	handler *doing
	sh      engine.Shard   // what the handler sees
	h       engine.Handler // what the driver sees
	ref     *Referee
	faults  []string
}

func newGame() *game {
	g := &game{driver: &fake{now: time.Unix(1000, 0)}, handler: &doing{}}
	g.ref = &Referee{Fault: func(format string, args ...any) { g.faults = append(g.faults, fmt.Sprintf(format, args...)) }}
	g.h = g.ref.Watch(func(sh engine.Shard) engine.Handler { g.sh = sh; return g.handler })(g.driver)
	return g
}

// in plays a move of the handler.
func (g *game) in(f func(engine.Shard)) { g.h.Notice(func() { f(g.sh) }) }

// another accepts a connection in a slot of its own, and lets the driver move.
func (g *game) another() engine.ConnID {
	id := engine.MakeConnID(0, 1, 9)
	g.driver.move = true
	g.h.Accepted(id, 0, engine.Peer{})
	return id
}

var (
	one = engine.MakeConnID(0, 1, 0)
	two = engine.MakeConnID(0, 2, 0) // the next in the same slot
)

// Every breach is noticed: a referee that sleeps proves nothing.
func TestRefereeNoticesEveryBreach(t *testing.T) {
	accept := func(g *game) { g.h.Accepted(one, 0, engine.Peer{}) }
	for _, c := range []struct {
		fault string
		play  func(*game)
	}{
		{"twice", func(g *game) { g.h.Accepted(one, 0, engine.Peer{}) }},
		{"has the slot", func(g *game) { g.h.Accepted(two, 0, engine.Peer{}) }},
		{"zero ID", func(g *game) { g.h.Accepted(0, 0, engine.Peer{}) }},
		{"on shard", func(g *game) { g.h.Accepted(engine.MakeConnID(1, 1, 4), 0, engine.Peer{}) }},
		{"given twice", func(g *game) { g.h.Closed(one, engine.End{Err: errors.New("x")}); accept(g) }},
		{"unknown connection", func(g *game) { g.h.Received(two, []byte("x")) }},
		{"of nothing", func(g *game) { g.h.Received(one, nil) }},
		{"Received(0x100000000) while paused", func(g *game) {
			g.in(func(sh engine.Shard) { sh.Pause(one) })
			g.h.Received(one, []byte("x"))
		}},
		{"EOF(0x100000000) while paused", func(g *game) { g.in(func(sh engine.Shard) { sh.Pause(one) }); g.h.EOF(one) }},
		{"after EOF", func(g *game) { g.h.EOF(one); g.h.Received(one, []byte("x")) }},
		{"EOF(0x100000000) twice", func(g *game) { g.h.EOF(one); g.h.EOF(one) }},
		{"nothing was sent", func(g *game) { g.h.Sent(one) }},
		{"bytes queued", func(g *game) {
			g.in(func(sh engine.Shard) { sh.Send(one, []byte("x")) })
			g.driver.queued = 1
			g.h.Sent(one)
		}},
		{"good order", func(g *game) { g.h.Closed(one, engine.End{}) }},
		{"good order", func(g *game) { g.h.EOF(one); g.h.Closed(one, engine.End{}) }},
		{"negative", func(g *game) { g.h.Closed(one, engine.End{Err: errors.New("x"), Unsent: -1}) }},
		{"without a Close", func(g *game) { g.h.Closed(one, engine.End{Err: errors.New("x"), Discarded: 1}) }},
		{"last word", func(g *game) { g.h.Closed(one, engine.End{Err: errors.New("x")}); g.h.Closed(one, engine.End{}) }},
		{"after Close or Abort", func(g *game) { g.in(func(sh engine.Shard) { sh.Close(one, 0) }); g.h.Received(one, []byte("x")) }},
		{"EOF(0x100000000) after Close", func(g *game) { g.in(func(sh engine.Shard) { sh.Abort(one) }); g.h.EOF(one) }},
		{"not armed", func(g *game) { g.h.Fired(one, engine.TimerRead) }},
		{"not armed", func(g *game) {
			g.in(func(sh engine.Shard) { sh.Arm(one, 0, time.Second); sh.Arm(one, 0, 0) })
			g.h.Fired(one, 0)
		}},
		{"early", func(g *game) { g.in(func(sh engine.Shard) { sh.Arm(one, 0, time.Second) }); g.h.Fired(one, 0) }},
		{"Fired(0x100000000, 0) after Close", func(g *game) {
			g.in(func(sh engine.Shard) { sh.Arm(one, 0, time.Second); sh.Close(one, 0) })
			g.driver.now = g.driver.now.Add(time.Hour)
			g.h.Fired(one, 0)
		}},
		{"nobody asked", func(g *game) { g.h.Answer(one, 1) }},
		{"Answer(0x100000000) after Close", func(g *game) {
			g.driver.ask = true
			g.in(func(sh engine.Shard) { sh.Ask(one, nil); sh.Close(one, 0) })
			g.h.Answer(one, 1)
		}},
		{"question of the dead", func(g *game) { g.driver.ask = true; g.in(func(sh engine.Shard) { sh.Ask(two, nil) }) }},
		{"Dialed(0x100000000) of a connection that is open", func(g *game) { g.h.Dialed(one, nil) }},
		{"before Dialed", func(g *game) {
			g.driver.next = engine.MakeConnID(0, 1, 1)
			g.in(func(sh engine.Shard) { sh.Dial("", 0) })
			g.h.Received(g.driver.next, []byte("x"))
		}},
		{"sends on", func(g *game) {
			g.driver.next = engine.MakeConnID(0, 1, 1)
			g.in(func(sh engine.Shard) { sh.Send(sh.Dial("", 0), []byte("x")) })
		}},
		{"after Close or Abort", func(g *game) {
			g.driver.next = engine.MakeConnID(0, 1, 1)
			g.in(func(sh engine.Shard) { sh.Abort(sh.Dial("", 0)) })
			g.h.Dialed(g.driver.next, nil)
		}},
		{"Queued", func(g *game) { g.driver.queued = 1; g.in(func(sh engine.Shard) { sh.Queued(two) }) }},
		{"without a Move", func(g *game) { g.h.Moved(two, one, 1, true) }},
		{"while a Move runs", func(g *game) {
			other := g.another()
			g.in(func(sh engine.Shard) { sh.Move(other, one, 1) })
			g.h.Received(one, []byte("x"))
		}},
		{"while a Move fills it", func(g *game) {
			other := g.another()
			g.in(func(sh engine.Shard) { sh.Move(other, one, 1); sh.Send(other, []byte("x")) })
		}},
		{"outside of a handler call", func(g *game) { g.sh.Pause(one) }},
		{"one call at a time", func(g *game) { g.in(func(engine.Shard) { g.h.Sent(one) }) }},
		{"never had its Closed", func(g *game) { g.ref.Final() }},
	} {
		g := newGame()
		accept(g)
		c.play(g)
		if got := strings.Join(g.faults, "\n"); !strings.Contains(got, c.fault) {
			t.Errorf("faults %q, want one with %q", got, c.fault)
		}
	}
}

// A game by the rules has no fault, and what was kept is spoiled.
func TestRefereeLetsPlay(t *testing.T) {
	g := newGame()
	g.driver.ask = true
	g.h.Accepted(one, 0, engine.Peer{})
	b := []byte("hello")
	g.h.Received(one, b)
	g.in(func(sh engine.Shard) {
		sh.Send(one, []byte("x"))
		sh.Arm(one, engine.TimerRead, time.Second)
		sh.Ask(one, nil)
		sh.Pause(one)
	})
	g.driver.now = g.driver.now.Add(time.Second)
	g.h.Fired(one, engine.TimerRead)
	g.h.Answer(one, nil)
	g.h.Sent(one)
	g.in(func(sh engine.Shard) { sh.Resume(one); sh.CloseWrite(one) })
	g.h.EOF(one)
	g.h.Closed(one, engine.End{})
	g.driver.next = two
	g.in(func(sh engine.Shard) { sh.Dial("", 0) })
	g.h.Dialed(two, errors.New("refused"))
	g.ref.Final()
	if len(g.faults) > 0 {
		t.Errorf("faults: %q", g.faults)
	}
	if string(g.handler.kept) == "hello" || string(b) != "hello" {
		t.Errorf("kept %q of %q: the handler's copy is to be spoiled, not the driver's", g.handler.kept, b)
	}
}
