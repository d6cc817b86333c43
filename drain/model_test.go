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
	operator *modelConn // whom Evict is being called for
	leftAt   time.Time
	leaveID  uint64
	leftStep time.Time // the latest Step of the lame duck
	began    time.Time
	deadline time.Time
	shortest time.Duration // of the budgets that the drain ever had
	cut      bool
	forced   bool
	settled  time.Time
	named    map[drain.Cause]int // cut, by cause
	moves    int

	tracked, refused uint64 // since the account began
	ended            map[drain.Outcome]uint64
	finished         uint64 // exchanges while draining
	initial, stuck   int
	terms            []*drain.Terms
}

type modelConn struct {
	c        *drain.Conn
	class    drain.Class
	since    time.Time
	evicted  int  // as idle
	near     bool // it heard a farewell
	deadline bool
	cause    drain.Cause // why it is cut; CauseIdle: it is not, yet
	bye      bool        // the last answer of Goodbye, within a lame duck
	terms    *drain.Terms
	termed   time.Time // when they were set
}

const (
	budget   = 3 * time.Second
	patience = 500 * time.Millisecond
	notice   = 300 * time.Millisecond
	settle   = 200 * time.Millisecond
	spread   = 400 * time.Millisecond
	lead     = 600 * time.Millisecond
)

// termsOf are the terms that a connection of the model may get.
func termsOf() []*drain.Terms {
	return []*drain.Terms{nil,
		{Order: drain.First}, {Order: drain.Last, Notice: -1},
		{EarlyTunnels: true, EarlyStreams: true},
		{Deadline: 700 * time.Millisecond}, {Notice: 150 * time.Millisecond, Deadline: 2 * time.Second, Order: drain.Last},
	}
}

// failer is the part of testing.TB that ends a test.
type failer interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func newModel(t failer, faults drain.Faults) *model {
	m := &model{t: t, clk: newClock(), conns: map[uint64]*modelConn{}, ended: map[drain.Outcome]uint64{}, named: map[drain.Cause]int{}, terms: termsOf()}
	m.tr = drain.New(drain.Config{
		NoticeAfter: notice, NoticeSpread: spread, IdleClose: patience, Timeout: budget, Settle: settle, FarewellLead: lead,
		Now: m.clk.Now, Faults: faults,
	})
	return m
}

func (m *model) account() { m.tracked, m.refused, m.ended = 0, 0, map[drain.Outcome]uint64{} }

func (m *model) open() {
	err := m.tr.Open()
	switch m.state {
	case drain.Shut, drain.Open, drain.Leaving:
		m.state = drain.Open
		m.forgetNotice()
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
		m.state, m.leftAt, m.leaveID, m.leftStep = drain.Leaving, m.clk.now, lastID, time.Time{}
		m.forgetNotice()
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
	m.state, m.began, m.deadline, m.shortest = drain.Draining, m.clk.now, m.clk.now.Add(budget), budget
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
	if cause == drain.CauseOperator {
		if c != m.operator {
			m.t.Fatalf("connection %d was evicted in place of another", id)
		}
		return
	}
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
		if got := m.clk.now.Sub(idleFrom); got < min(patience, m.shortest/3) {
			m.t.Fatalf("connection %d evicted after only %v idle in the drain", id, got)
		}
		if c.evicted > 0 {
			m.t.Fatalf("connection %d evicted as idle twice", id)
		}
		c.evicted++
		return
	case drain.CauseFarewell:
		m.farewell(c)
		return
	case drain.CauseDeadline:
		if !m.forced && m.clk.now.Before(m.cutAt()) {
			m.t.Fatalf("connection %d cut %v before the deadline", id, m.deadline.Sub(m.clk.now))
		}
		if c.deadline {
			m.t.Fatalf("connection %d cut twice", id)
		}
		c.deadline = true
	case drain.CauseRoute:
		if c.terms == nil || c.terms.Deadline == 0 || c.class != drain.Active && c.class != drain.Tunnel {
			m.t.Fatalf("connection %d is %v, with the terms %+v, and its own time was over", id, c.class, c.terms)
		}
		from := c.since
		if from.Before(m.began) {
			from = m.began
		}
		if got := m.clk.now.Sub(from); got < c.terms.Deadline {
			m.t.Fatalf("connection %d had %v of its own %v", id, got, c.terms.Deadline)
		}
	case drain.CauseOperator, drain.CausePeerGone, drain.CausePeerStuck:
		m.t.Fatalf("connection %d was evicted for %v by a step", id, cause)
	}
	if c.cause == drain.CauseIdle {
		c.cause = cause
	} else if cause != drain.CauseDeadline {
		m.t.Fatalf("connection %d was cut for %v, and then for %v", id, c.cause, cause)
	}
}

// farewell checks that somebody heard it once, who is to hear it, and not too early.
func (m *model) farewell(c *modelConn) {
	id, terms := c.c.ID(), c.terms
	if terms == nil {
		terms = &drain.Terms{}
	}
	early := c.class == drain.Tunnel && terms.EarlyTunnels || c.class == drain.Active && terms.EarlyStreams
	switch {
	case c.near || c.cause != drain.CauseIdle:
		m.t.Fatalf("connection %d hears a farewell again, or after it was cut for %v", id, c.cause)
	case !early && c.class != drain.Tunnel:
		m.t.Fatalf("connection %d is %v and hears a farewell", id, c.class)
	case !early && terms.Deadline == 0 && m.clk.now.Before(m.cutAt().Add(-lead)):
		m.t.Fatalf("connection %d hears a farewell %v before the cut", id, m.cutAt().Sub(m.clk.now))
	}
	c.near = true
}

// missed checks that whoever was to hear a farewell did, by half of the time that there is for it.
func (m *model) missed() {
	lead := min(lead, m.deadline.Sub(m.began)/4)
	for id, c := range m.conns {
		since := m.began
		for _, at := range []time.Time{c.since, c.termed} {
			if since.Before(at) {
				since = at
			}
		}
		late := m.clk.now.Sub(since)
		switch {
		case c.near || c.cause != drain.CauseIdle:
		case c.terms != nil && (c.class == drain.Tunnel && c.terms.EarlyTunnels || c.class == drain.Active && c.terms.EarlyStreams):
			if late > time.Second+lead {
				m.t.Fatalf("connection %d was to hear a farewell early, %v ago", id, late)
			}
		case c.class == drain.Tunnel && late > 250*time.Millisecond && !m.clk.now.Before(m.cutAt().Add(-lead/2)):
			m.t.Fatalf("connection %d hears no farewell %v before the cut", id, m.cutAt().Sub(m.clk.now))
		}
	}
}

// cutAt is when the rest is cut.
func (m *model) cutAt() time.Time {
	return m.deadline.Add(-min(settle, m.deadline.Sub(m.began)/10))
}

func (m *model) forgetNotice() {
	for _, c := range m.conns {
		c.bye = false
	}
}

// evict asks for one connection, or for one that there is not.
func (m *model) evict(id uint64) {
	c := m.conns[id]
	want := c != nil && c.cause == drain.CauseIdle && m.state != drain.Drained
	if want {
		c.cause = drain.CauseOperator
	}
	m.operator = c
	got := m.tr.Evict(id)
	m.operator = nil
	if m.state != drain.Drained && got != want {
		m.t.Fatalf("evict %d: %v, want %v", id, got, want)
	}
}

// move gives the drain another deadline, so long after it began.
func (m *model) move(d time.Duration) {
	to := m.began.Add(d)
	got := m.tr.MoveDeadline(m.clk.now, to)
	if m.state != drain.Draining {
		if got {
			m.t.Fatalf("the deadline moved while %v", m.state)
		}
		return
	}
	switch {
	case !m.clk.now.Before(to): // a Cut, with the next step
		m.forced = m.forced || !m.cut && m.clk.now.Before(m.cutAt())
	case m.cut || m.forced:
		if got {
			m.t.Fatal("the deadline moved after the cut")
		}
	case !got:
		m.t.Fatal("the deadline did not move")
	default:
		if !to.Equal(m.deadline) {
			m.moves++
		}
		m.deadline, m.shortest = to, min(m.shortest, d)
	}
}

func (m *model) step() {
	m.tr.Step(m.clk.now)
	switch m.state {
	case drain.Leaving:
		m.leftStep = m.clk.now
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
	case m.forced || !m.clk.now.Before(m.cutAt()):
		m.cut, m.settled = true, m.clk.now.Add(settle)
		for id, c := range m.conns {
			if !c.deadline {
				m.t.Fatalf("connection %d was not asked to go at the deadline", id)
			}
		}
	default:
		m.missed()
		for id, c := range m.conns { // whose own time is over was asked to go
			if c.terms == nil || c.terms.Deadline == 0 || c.cause != drain.CauseIdle || c.class != drain.Active && c.class != drain.Tunnel {
				continue
			}
			from := c.since
			for _, at := range []time.Time{m.began, c.termed} {
				if from.Before(at) {
					from = at
				}
			}
			if over := m.clk.now.Sub(from) - c.terms.Deadline; over > time.Millisecond {
				m.t.Fatalf("connection %d goes on %v after its own time was over", id, over)
			}
		}
		if m.clk.now.Before(m.began.Add(m.deadline.Sub(m.began) / 2)) {
			return
		}
		// Whoever has been idle since the drain began has been asked to go by now.
		for id, c := range m.conns {
			idle := c.class == drain.Idle || c.class == drain.Handshake
			if idle && !c.since.After(m.began) && c.evicted == 0 && c.cause == drain.CauseIdle {
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
		if o == drain.Cut && m.state == drain.Draining {
			m.named[c.cause]++
		}
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
		m.checkGoodbye(id, c)
	}
	if got := m.tr.Stats().Connections; got != want {
		t.Fatalf("classes %+v, want %+v", got, want)
	}
	if m.state >= drain.Draining {
		m.checkReceipt()
	}
}

// checkGoodbye: nobody is told too early, everybody who was there in the end, and who was
// told once is told again.
func (m *model) checkGoodbye(id uint64, c *modelConn) {
	got, was := c.c.Goodbye(), c.bye
	may, must := m.state >= drain.Draining, m.state >= drain.Draining
	if old := m.state == drain.Leaving && id <= m.leaveID; old {
		since := m.leftStep.Sub(m.leftAt)
		may = !m.leftStep.IsZero() && since >= notice
		must = may && (since >= notice+spread+spread/10 || was)
		if c.terms != nil && c.terms.Notice != 0 {
			may = c.terms.Notice > 0 && m.clk.now.Sub(m.leftAt) >= c.terms.Notice
			must = may
		}
	}
	if got && !may || !got && must {
		m.t.Fatalf("connection %d with %+v in %v: goodbye %v, told before %v; left %v ago, stepped %v after", id, c.terms, m.state, got, was,
			m.clk.now.Sub(m.leftAt), m.leftStep.Sub(m.leftAt))
	}
	// What a route's own time says ends with the route.
	c.bye = got && (c.terms == nil || c.terms.Notice == 0)
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
		named := map[string]int{}
		for _, h := range r.Cut {
			named[h.Cause]++
		}
		for cause, n := range m.named {
			if text := cause.String(); cause != drain.CauseIdle && named[text] < n {
				t.Fatalf("the receipt names %v, want %d for %s", named, n, text)
			}
		}
		if r.Exchanges.Draining != m.finished {
			t.Fatalf("%d exchanges finished, want %d", r.Exchanges.Draining, m.finished)
		}
	}
}

// play runs a script of events, one byte each, and then drains to the end.
func (m *model) play(script []byte) {
	m.run(script)
	m.end()
}

func (m *model) run(script []byte) {
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
		case op == 3 && arg >= 12:
			m.move(time.Duration(arg-11) * 1500 * time.Millisecond)
		case op == 4 && arg >= 12:
			m.evict(uint64(arg - 11))
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
		case op <= 12 && !(op == 12 && arg%4 == 3):
			m.event(c, drain.Idle)
		case op == 13 && arg%2 == 0:
			m.event(c, drain.Tunnel)
		case op == 14 && arg%2 == 0:
			c.terms = m.terms[arg/2%len(m.terms)]
			c.c.SetTerms(c.terms)
			c.termed = m.clk.now
			c.bye = c.bye && (c.terms == nil || c.terms.Notice == 0)
			m.step() // the shell is nudged
		case op == 12 && arg%4 == 3:
			m.evict(c.c.ID())
		default:
			m.done(c, drain.Outcome(arg%5))
		}
		m.check()
	}
}

func (m *model) end() {
	m.beginDrain()
	m.check()
	for range 3 { // the cut, the settle time, and once more for nothing
		m.clk.advance(3 * budget)
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

// everyFault is each fault alone.
func everyFault() map[string]drain.Faults {
	return map[string]drain.Faults{
		"CountWithoutState": {CountWithoutState: true},
		"TunnelForgotten":   {TunnelForgotten: true},
		"IdleCloseFirst":    {IdleCloseFirst: true},
		"QuiesceEarly":      {QuiesceEarly: true},
		"NoDeadline":        {NoDeadline: true},
		"GoodbyeNever":      {GoodbyeNever: true},
		"ReceiptForgetsCut": {ReceiptForgetsCut: true},
		"EvictNeighbour":    {EvictNeighbour: true},
	}
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
	for name, faults := range everyFault() {
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
