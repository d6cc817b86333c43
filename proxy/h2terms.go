package proxy

import (
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// The account knows one route for a connection, and one drain.Terms, and the exchanges of an HTTP/2 connection may be on
// several routes. The most patient of them stands for all, and their terms are joined: no exchange ends because of the deadline of
// another's route, and each hears what its own promises. Once only less patient ones are left, their terms hold.

// located implements requester.
func (st *h2Stream) located() {
	c := st.c
	switch {
	case c.core.Streams() == 1:
		c.mixed, c.only = false, st.x.route
		c.describe(st.x)
	case c.only != nil && c.only == st.x.route: // one more of the same
		c.describe(st.x)
	default:
		c.retime()
	}
}

// retime chooses which of the exchanges that run stands for the connection.
func (c *h2Conn) retime() {
	if c.handle == nil {
		return
	}
	var best *exchange
	var terms *drain.Terms // of all
	c.mixed = false
	c.core.Each(func(s *h2.Stream) {
		st, ok := s.Owner.(*h2Stream)
		if !ok || st.x.route == nil {
			return
		}
		x := st.x
		c.mixed = c.mixed || best != nil && x.route != best.route
		if best == nil {
			terms = x.route.terms
		} else {
			terms = terms.With(x.route.terms)
		}
		if best == nil || outlasts(x.route.terms, best.route.terms) {
			best = x
		}
	})
	c.only = nil
	if best != nil {
		if !c.mixed {
			c.only = best.route
		}
		c.describeBy(best, terms)
	}
}

// outlasts reports whether a lets an exchange go on for longer than b.
func outlasts(a, b *drain.Terms) bool {
	limited := func(t *drain.Terms) bool { return t != nil && t.Deadline > 0 }
	switch {
	case !limited(b):
		return false
	case !limited(a):
		return true
	}
	return a.Deadline > b.Deadline
}
