package drain_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// model is what a tracker should do, written as plainly as possible: maps, no order,
// no bits, every rule as a sentence of DESIGN 4.
type model struct {
	t   failer
	clk *clock
	tr  *drain.Tracker

	state    drain.State
	conns    map[uint64]*modelConn
	leftAt   time.Time
	leaveID  uint64
	noticed  bool
	began    time.Time
	deadline time.Time
	cut      bool
	settled  time.Time

	tracked, refused uint64 // since the account began
	ended            map[drain.Outcome]uint64
	finished         uint64 // exchanges while draining
	initial, stuck   int
}

type modelConn struct {
	c        *drain.Conn
	class    drain.Class
	since    time.Time
	evicted  int
	deadline bool
}

const (
	budget   = 3 * time.Second
	patience = 500 * time.Millisecond
	notice   = 300 * time.Millisecond
	settle   = 200 * time.Millisecond
)

// failer is the part of testing.TB that ends a test.
type failer interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func newModel(t failer, faults drain.Faults) *model {
	m := &model{t: t, clk: newClock(), conns: map[uint64]*modelConn{}, ended: map[drain.Outcome]uint64{}}
	m.tr = drain.New(drain.Config{
		NoticeAfter: notice, IdleClose: patience, Timeout: budget, Settle: settle,
		Now: m.clk.Now, Faults: faults,
	})
	return m
}

func (m *model) account() { m.tracked, m.refused, m.ended = 0, 0, map[drain.Outcome]uint64{} }

func (m *model) open() {
	err := m.tr.Open()
	switch m.state {
	case drain.Shut, drain.Open, drain.Leaving:
		m.state, m.noticed = drain.Open, false
		if err != nil {
			m.t.Fatalf("open: %v", err)
		}
	case drain.Draining, drain.Drained:
		if !errors.Is(err, drain.ErrDraining) {
			m.t.Fatalf("open while %v: %v", m.state, err)
		}
	}
}

func (m *model) leave(lastID uint64) {
	m.tr.BeginLeave(m.clk.now)
	if m.state == drain.Open {
		m.state, m.leftAt, m.leaveID = drain.Leaving, m.clk.now, lastID
		m.account()
	}
}

func (m *model) beginDrain() {
	m.tr.BeginDrain(m.clk.now, time.Time{})
	switch m.state {
	case drain.Shut, drain.Open:
		m.account()
	case drain.Leaving:
	case drain.Draining, drain.Drained:
		return
	}
	m.state, m.began, m.deadline = drain.Draining, m.clk.now, m.clk.now.Add(budget)
	m.initial, m.finished = len(m.conns), 0
	m.quiesce()
}

func (m *model) track() {
	var mc *modelConn
	c, err := m.tr.Track(meta, func(cause drain.Cause) { m.evicted(mc, cause) })
	switch m.state {
	case drain.Open, drain.Leaving:
		if err != nil {
			m.t.Fatalf("track while %v: %v", m.state, err)
		}
		mc = &modelConn{c: c, since: m.clk.now}
		m.conns[c.ID()] = mc
		m.tracked++
	case drain.Shut:
		if err != drain.ErrShut {
			m.t.Fatalf("track while shut: %v", err)
		}
	case drain.Draining, drain.Drained:
		if err != drain.ErrDraining {
			m.t.Fatalf("track while %v: %v", m.state, err)
		}
		if m.state == drain.Draining {
			m.refused++
		}
	}
}

// evicted checks that somebody was asked to go at the right time for the right reason.
func (m *model) evicted(c *modelConn, cause drain.Cause) {
	id := c.c.ID()
	if m.state != drain.Draining {
		m.t.Fatalf("connection %d evicted while %v", id, m.state)
	}
	if m.conns[id] == nil {
		m.t.Fatalf("connection %d evicted after Done, on one thread", id)
	}
	switch cause {
	case drain.CauseIdle:
		if c.class != drain.Idle && c.class != drain.Handshake {
			m.t.Fatalf("connection %d is %v and was evicted as idle", id, c.class)
		}
		idleFrom := c.since
		if idleFrom.Before(m.began) {
			idleFrom = m.began
		}
		if got := m.clk.now.Sub(idleFrom); got < patience {
			m.t.Fatalf("connection %d evicted after only %v idle in the drain", id, got)
		}
		if c.evicted > 0 {
			m.t.Fatalf("connection %d evicted as idle twice", id)
		}
	case drain.CauseDeadline:
		if m.clk.now.Before(m.deadline.Add(-settle)) {
			m.t.Fatalf("connection %d cut %v before the deadline", id, m.deadline.Sub(m.clk.now))
		}
		if c.deadline {
			m.t.Fatalf("connection %d cut twice", id)
		}
		c.deadline = true
	}
	c.evicted++
}

func (m *model) step() {
	m.tr.Step(m.clk.now)
	switch m.state {
	case drain.Leaving:
		m.noticed = m.noticed || !m.clk.now.Before(m.leftAt.Add(notice))
	case drain.Draining:
		m.stepDraining()
	case drain.Shut, drain.Open, drain.Drained:
	}
}

func (m *model) stepDraining() {
	switch {
	case m.cut && !m.clk.now.Before(m.settled):
		m.state, m.stuck = drain.Drained, len(m.conns)
	case m.cut:
	case !m.clk.now.Before(m.deadline.Add(-settle)):
		m.cut, m.settled = true, m.clk.now.Add(settle)
		for id, c := range m.conns {
			if !c.deadline {
				m.t.Fatalf("connection %d was not asked to go at the deadline", id)
			}
		}
	case !m.clk.now.Before(m.began.Add(budget / 2)):
		// Whoever has been idle since the drain began has been asked to go by now.
		for id, c := range m.conns {
			idle := c.class == drain.Idle || c.class == drain.Handshake
			if idle && !c.since.After(m.began) && c.evicted == 0 {
				m.t.Fatalf("connection %d idles past half of the budget and was not asked to go", id)
			}
		}
	}
}

func (m *model) quiesce() {
	if m.state == drain.Draining && len(m.conns) == 0 {
		m.state = drain.Drained
	}
}

func (m *model) event(c *modelConn, class drain.Class) {
	if c.class == drain.Tunnel || c.class == class {
		return
	}
	if c.class == drain.Active && m.state == drain.Draining {
		m.finished++
	}
	switch class {
	case drain.Active:
		c.c.Active()
	case drain.Idle:
		c.c.Idle()
	case drain.Tunnel:
		c.c.Tunnel()
	case drain.Handshake, drain.Gone:
	}
	c.class, c.since = class, m.clk.now
}

func (m *model) done(c *modelConn, o drain.Outcome) {
	if m.state == drain.Draining && c.class == drain.Active && o == drain.Completed {
		m.finished++
	}
	if m.state != drain.Drained {
		m.ended[o]++
	}
	c.c.Done(o)
	delete(m.conns, c.c.ID())
	m.quiesce()
}

// check compares everything that can be seen from outside.
func (m *model) check() {
	t := m.t
	if got := m.tr.State(); got != m.state {
		t.Fatalf("state %v, want %v", got, m.state)
	}
	select {
	case <-m.tr.Drained():
		if m.state != drain.Drained {
			t.Fatalf("drained while %v with %d open", m.state, len(m.conns))
		}
	default:
		if m.state == drain.Drained {
			t.Fatal("drained, and the channel is open")
		}
	}
	var want drain.ClassCounts
	for id, c := range m.conns {
		switch c.class {
		case drain.Handshake:
			want.Handshake++
		case drain.Idle:
			want.Idle++
		case drain.Active:
			want.Active++
		case drain.Tunnel:
			want.Tunnel++
		case drain.Gone:
		}
		bye := m.state >= drain.Draining || (m.state == drain.Leaving && m.noticed && id <= m.leaveID)
		if got := c.c.Goodbye(); got != bye {
			t.Fatalf("connection %d in %v: goodbye %v, want %v", id, m.state, got, bye)
		}
	}
	if got := m.tr.Stats().Connections; got != want {
		t.Fatalf("classes %+v, want %+v", got, want)
	}
	if m.state >= drain.Draining {
		m.checkReceipt()
	}
}

func (m *model) checkReceipt() {
	t, r := m.t, m.tr.Receipt()
	want := drain.OutcomeCounts{
		Completed: m.ended[drain.Completed], ClientClosed: m.ended[drain.ClientClosed],
		IdleClosed: m.ended[drain.IdleClosed], Cut: m.ended[drain.Cut], Errored: m.ended[drain.Errored],
	}
	if r.Outcomes != want {
		t.Fatalf("outcomes %+v, want %+v", r.Outcomes, want)
	}
	if r.Initial.Total() != m.initial || r.Refused != m.refused || uint64(r.CutTotal) != want.Cut {
		t.Fatalf("receipt %+v; want initial %d, refused %d, cut %d", r, m.initial, m.refused, want.Cut)
	}
	if m.state == drain.Drained {
		if err := r.Audit(); err != nil {
			t.Fatalf("the books do not balance: %v\n%+v", err, r)
		}
		if stuck := r.StuckTotal; r.Clean() != (want.Cut == 0 && stuck == 0) {
			t.Fatalf("clean %v with %d cut and %d stuck", r.Clean(), want.Cut, stuck)
		}
		if r.Exchanges.Draining != m.finished {
			t.Fatalf("%d exchanges finished, want %d", r.Exchanges.Draining, m.finished)
		}
	}
}

// play runs a script of events, one byte each, and then drains to the end.
func (m *model) play(script []byte) {
	var lastID uint64
	for _, b := range script {
		arg := int(b) / 16
		var c *modelConn // the arg-th oldest open connection
		if ids := slices.Sorted(maps.Keys(m.conns)); len(ids) > 0 {
			c = m.conns[ids[arg%len(ids)]]
		}
		switch op := b % 16; {
		case op == 0:
			m.open()
		case op == 1:
			m.leave(lastID)
		case op == 2 && arg == 0:
			m.beginDrain()
		case op <= 5:
			m.track()
			for id := range m.conns {
				lastID = max(lastID, id)
			}
		case op <= 8:
			m.clk.advance(time.Duration(arg*arg) * 5 * time.Millisecond)
			m.step()
		case c == nil:
		case op <= 10:
			m.event(c, drain.Active)
		case op <= 12:
			m.event(c, drain.Idle)
		case op == 13 && arg%2 == 0:
			m.event(c, drain.Tunnel)
		default:
			m.done(c, drain.Outcome(arg%5))
		}
		m.check()
	}
	m.beginDrain()
	m.check()
	for range 3 { // the cut, the settle time, and once more for nothing
		m.clk.advance(budget)
		m.step()
		m.check()
	}
	if m.state != drain.Drained {
		m.t.Fatalf("the drain ends in %v", m.state)
	}
	if got := m.tr.Receipt().StuckTotal; got != m.stuck {
		m.t.Fatalf("%d stuck, want %d", got, m.stuck)
	}
}

// FuzzTracker compares the tracker with the model over random event orders.
func FuzzTracker(f *testing.F) {
	f.Add([]byte{3, 0, 3, 3, 3, 9, 11, 1, 3, 0x86, 0x19, 2, 0xf6, 0xf6, 0x9e})
	f.Add([]byte{0, 3, 3, 3, 3, 9, 0x19, 0x2d, 2, 0xe6, 0x1b, 0xe6, 0xe6, 0x36, 0xf6})
	f.Add([]byte{0, 3, 4, 5, 13, 0x29, 1, 0xf6, 0, 1, 3, 2, 14, 0xf6, 0xf6})
	f.Fuzz(func(t *testing.T, script []byte) {
		newModel(t, drain.Faults{}).play(script)
	})
}

// alarm is a failer that a test can catch.
type alarm string

func (alarm) Fatal(args ...any)                 { panic(alarm(fmt.Sprint(args...))) }
func (alarm) Fatalf(format string, args ...any) { panic(alarm(fmt.Sprintf(format, args...))) }

// notices plays a random script against a tracker with a fault and returns what the
// model had to say.
func notices(faults drain.Faults, script []byte) (said alarm) {
	defer func() {
		if r := recover(); r != nil {
			said = r.(alarm)
		}
	}()
	newModel(alarm(""), faults).play(script)
	return ""
}

// The model is worth something: it notices each fault within a few random scripts, and
// none where there is none.
func TestModelNoticesEveryFault(t *testing.T) {
	const scripts = 200
	random := rand.New(rand.NewPCG(1, 2))
	script := func() []byte {
		b := []byte{byte(random.IntN(2) * 3)} // half begin open
		for range 100 {
			b = append(b, byte(random.IntN(256)))
		}
		return b
	}
	for name, faults := range map[string]drain.Faults{
		"CountWithoutState": {CountWithoutState: true},
		"TunnelForgotten":   {TunnelForgotten: true},
		"IdleCloseFirst":    {IdleCloseFirst: true},
		"QuiesceEarly":      {QuiesceEarly: true},
		"NoDeadline":        {NoDeadline: true},
		"GoodbyeNever":      {GoodbyeNever: true},
		"ReceiptForgetsCut": {ReceiptForgetsCut: true},
	} {
		said := alarm("")
		for i := 0; i < scripts && said == ""; i++ {
			said = notices(faults, script())
		}
		if said == "" {
			t.Errorf("%s: not noticed in %d scripts", name, scripts)
		}
	}
	for range scripts {
		if said := notices(drain.Faults{}, script()); said != "" {
			t.Fatalf("without a fault: %s", said)
		}
	}
}
