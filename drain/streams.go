package drain

// A connection that carries several exchanges at a time (HTTP/2) is Active while any runs, and its word
// counts one of them as running. Another and Unfinished account for the others.

// Another says that one of several exchanges of an active connection ended, or that one began right behind another:
// one more has finished, and one still runs. Owner only. It panics on a tunnel and after Done.
func (c *Conn) Another() {
	w := c.load()
	if w.class() != Active {
		panic("BUG: drain: Another on a connection that is " + w.class().String())
	}
	c.state.Store(uint64(makeWord(Active, w.started()+1, w.since())))
}

// Unfinished says how many exchanges run on a connection that is about to end, or to be cut. 0 and 1
// need not be said. Owner only, before Done.
func (c *Conn) Unfinished(n int) {
	l := c.lost()
	l.others = max(n-1, 0)
	c.loss.Store(&l)
}
