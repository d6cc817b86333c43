package proxy

import "github.com/sluiceproxy/sluice/proxy/h1"

// nameOwed tells the account which requests the client has sent and may get no whole answer
// to: the connection is cut now. The exchange that runs, or whose response has not left, is
// the first; then what waits behind it, as far as it was read. A head that is not complete
// has no name.
func (c *httpConn) nameOwed() {
	if c.handle == nil {
		return
	}
	var ids []string
	none := c.x == &c.l.none
	if !none {
		ids = append(ids, string(c.x.id.bytes()))
	}
	if !c.partial && (none || c.x.reqDone) { // otherwise a body comes first
		ids = c.appendWaiting(ids)
	}
	if len(ids) > 0 {
		c.handle.Owes(ids)
	}
}

// maxOwed bounds how many requests of one connection are named.
const maxOwed = 64

// appendWaiting reads the heads in c.in. It stops at a body whose end it does not see.
func (c *httpConn) appendWaiting(ids []string) []string {
	l, rest := c.l, c.in
	for len(ids) < maxOwed {
		n, err := l.req.Parse(rest, l.cfg.Limits)
		if err != nil || n == 0 {
			break
		}
		var id requestID
		id.choose(l, c.fromTrusted())
		ids = append(ids, string(id.bytes()))
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
