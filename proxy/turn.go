package proxy

import "github.com/sluiceproxy/sluice/proxy/engine"

// A request that could not be sent again waits for one turn of the loop before it takes a
// pooled connection. What the kernel knew when this turn began may be old: an upstream that
// restarts has closed its idle connections, and their FINs stand behind the event that
// brought the request. After a turn they have been seen, and those connections are gone
// from the pool. What is left is the time that a FIN takes to us.

// turnNote says that a turn has gone by. It carries nothing, so that posting it costs no memory.
type turnNote struct{}

// later is who waits for the next turn: an exchange, by the wait of its connection.
type later struct {
	id  engine.ConnID
	seq uint64
}

// unrepeatable reports whether this request, once sent, may not be sent again.
func (x *exchange) unrepeatable() bool { return !x.method.idempotent() || x.hasBody }

// afterTurn connects after the next turn.
func (x *exchange) afterTurn() {
	l := x.l
	x.c.arm(engine.TimerState, 0) // what bounded the head
	x.waits = true
	x.wait.Seq++
	l.later = append(l.later, later{x.d.id, x.wait.Seq})
	if len(l.later) == 1 {
		l.post(l.sh.Index(), turnNote{})
	}
}

// turn lets those go on who waited for it. Whoever begins to wait meanwhile has the next one.
func (l *loop) turn() {
	now := l.later
	l.later = l.spare[:0]
	for _, w := range now {
		l.goesOn(w)
	}
	l.spare = now
}

func (l *loop) goesOn(w later) {
	defer l.contain(w.id, l.at(w.id))
	if p := l.waiting(w.id, w.seq); p != nil {
		p.again()
	}
}
