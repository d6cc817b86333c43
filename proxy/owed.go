package proxy

import (
	"slices"

	"github.com/sluiceproxy/sluice/proxy/h1"
)

// nameOwed tells the account which requests the client has sent and may get no whole answer
// to: the connection is cut now. The exchange that runs, or whose response has not left, is
// the first; then what waits behind it, as far as it was read. A head that is not complete
// has no name.
func (c *httpConn) nameOwed() {
	if c.handle == nil {
		return
	}
	c.noteOwed(true)
	if len(c.owed) == 0 {
		return
	}
	names := make([]string, len(c.owed))
	for i := range c.owed {
		names[i] = string(c.owed[i].bytes())
	}
	c.handle.Owes(names)
}

// noteOwed keeps the names of what the client may get no whole answer to, until what is queued
// for it has left: the exchange at hand, and, if nothing that waits will be read any more, what
// waits. An exchange that begins behind a response which has not left is no reason to forget that one.
func (c *httpConn) noteOwed(waiting bool) {
	if c.handle == nil {
		return
	}
	none := c.x == &c.l.none
	if !none && len(c.owed) < maxOwed {
		if !slices.Contains(c.owed, c.x.id) {
			c.owed = append(c.owed, c.x.id)
		}
	}
	if waiting && !c.partial && (none || c.x.reqDone) { // otherwise a body comes first
		c.owed = c.appendWaiting(c.owed)
	}
}

// maxOwed bounds how many requests of one connection are named.
const maxOwed = 64

// appendWaiting reads the heads in c.in. It stops at a body whose end it does not see.
func (c *httpConn) appendWaiting(ids []requestID) []requestID {
	l, rest := c.l, c.in
	for len(ids) < maxOwed {
		n, err := l.req.Parse(rest, l.cfg.Limits)
		if err != nil || n == 0 {
			break
		}
		var id requestID
		id.choose(l, l.trusts(c.ends.remote.Addr()))
		ids = append(ids, id)
		rest = rest[n:]
		switch {
		case l.req.Body == h1.BodyNone:
		case l.req.Body == h1.BodyLength && l.req.Length <= int64(len(rest)):
			rest = rest[l.req.Length:]
		default:
			return ids
		}
	}
	return ids
}
