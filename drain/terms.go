package drain

import (
	"strconv"
	"time"
)

// Terms are what a route says about a drain, and what is known of how long things last on
// it. Many connections share one; only Lives changes after SetTerms. The zero Terms say
// nothing.
type Terms struct {
	// Notice is when, after Leave, goodbyes begin on connections of this route. 0: as for
	// all, by NoticeAfter and spread; negative: only once draining begins.
	Notice time.Duration
	// Deadline is how long an exchange or a tunnel may go on after draining began (or after
	// the exchange began, if that was later). 0: until the deadline of the drain, which
	// bounds every other.
	Deadline time.Duration
	// Order is when, among all, these connections are told to leave, closed as idle, and
	// asked to go at the deadline.
	Order Order
	// EarlyTunnels has CauseFarewell come to tunnels as soon as draining begins, and not only
	// when their time is nearly over; EarlyStreams has it come to exchanges then, which
	// otherwise never hear it.
	EarlyTunnels, EarlyStreams bool
	// Lives is how long exchanges and tunnels lasted; nil: nothing is known.
	Lives *Lives
}

// Order is a place among all connections.
type Order int8

// The orders.
const (
	First   Order = -1
	Between Order = 0 // the default
	Last    Order = 1
)

// String returns the order as policies write it.
func (o Order) String() string {
	switch o {
	case First:
		return "first"
	case Between:
		return "between"
	case Last:
		return "last"
	}
	return "Order(" + strconv.Itoa(int(o)) + ")"
}

// With is terms that suit exchanges of either kind on one connection: each may go on for as long as its own terms let it, and hears
// what they promise it. nil: none. One of the two is returned where it says all of that.
func (t *Terms) With(other *Terms) *Terms {
	if t == other {
		return t
	}
	a, b := t.orNone(), other.orNone()
	m := a
	m.Deadline = max(a.Deadline, b.Deadline)
	if a.Deadline <= 0 || b.Deadline <= 0 {
		m.Deadline = 0
	}
	m.Notice = max(a.Notice, b.Notice)
	if a.Notice < 0 || b.Notice < 0 {
		m.Notice = -1
	}
	m.Order = max(a.Order, b.Order)
	m.EarlyTunnels = a.EarlyTunnels || b.EarlyTunnels
	m.EarlyStreams = a.EarlyStreams || b.EarlyStreams
	if m.Lives == nil {
		m.Lives = b.Lives
	}
	switch m {
	case a:
		return t
	case b:
		return other
	}
	joined := m // of its own, so that only this case costs memory
	return &joined
}

func (t *Terms) orNone() Terms {
	if t == nil {
		return Terms{}
	}
	return *t
}

// SetTerms says which terms hold for the connection from now on: those of the route of
// its exchange or tunnel. They stay when it idles. nil: none. It belongs to the owner, and
// costs one load where nothing changes.
func (c *Conn) SetTerms(terms *Terms) {
	if c.terms.Load() == terms {
		return
	}
	c.terms.Store(terms)
	if terms != nil && (terms.Deadline > 0 || terms.Order != Between || terms.EarlyTunnels || terms.EarlyStreams) {
		c.t.specialTerms(terms)
	}
}

// specialTerms notes that some connection is not like the others. While nobody is, a drain
// does not look.
func (t *Tracker) specialTerms(terms *Terms) {
	if terms.Order != Between {
		t.ordered.Store(true)
	}
	if (terms.EarlyTunnels || terms.EarlyStreams) && !t.early.Swap(true) {
		t.nudge()
	}
	for d := int64(terms.Deadline); d > 0; {
		old := t.shortest.Load()
		if old != 0 && old <= d {
			return
		}
		if t.shortest.CompareAndSwap(old, d) {
			t.nudge() // a drain that runs has to look sooner
			return
		}
	}
}

// order is the place of a connection among all.
func (c *Conn) order() Order {
	if terms := c.terms.Load(); terms != nil {
		return terms.Order
	}
	return Between
}

// limit is how long its exchange or tunnel may go on by its terms; 0: no limit.
func (c *Conn) limit() time.Duration {
	if terms := c.terms.Load(); terms != nil {
		return max(0, terms.Deadline)
	}
	return 0
}

// lives is where its ends are counted; nil: nowhere.
func (c *Conn) lives() *Lives {
	if terms := c.terms.Load(); terms != nil {
		return terms.Lives
	}
	return nil
}
