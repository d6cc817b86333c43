package proxy

import (
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/h2"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// role is what a connection is to the loop that owns it. The driver's calls for the
// connection go to its role; after closed the role is forgotten.
type role interface {
	received(b []byte)
	eof()
	sent()
	moved(n int64, done bool) // out of this connection
	dialed(err error)
	answer(v any)
	fired(t engine.Timer)
	evict(cause drain.Cause)
	closed(end engine.End)
	contained() // after a panic: let go of everything, without trusting the state
}

// loop implements engine.Handler: the state of one shard. It has no lock, because
// the driver makes one call at a time.
type loop struct {
	*Core
	sh    engine.Shard
	roles []role          // by slot
	local *netip.AddrPort // of the last connection: see ends
	idle  upstream.Idle[*upConn]

	later, spare []later // who waits for a turn, and memory for the next

	headless map[engine.ConnID]func(drain.Cause) // evicts what lives of tunnels whose downstream connection, by which the tracker knows them, is gone
	parted   []parted                            // ends of tunnels that have not heard that their stream is over

	patrol   patrol     // of peers, while draining
	checkers []*checker // of the endpoints that are this loop's to probe

	stats     loopStats
	log       accessLog
	decisions decisionLog
	date      dateField

	turnedAway refusalRing
	rnd        *rand.ChaCha8

	// Of Progressing: asked for, and given.
	pinged, ponged atomic.Uint64
	askedAt        atomic.Int64 // Unix nanoseconds of the ping that is open

	site site // what runs, for a panic

	// Scratch, valid during one call.
	req      h1.Request
	resp     h1.Response
	sent     h1.Request // a head of ours
	areq     authz.Request
	out      []byte
	names    []byte     // of fields
	fields   []h2.Field // of heads and trailers
	trailers []h1.Field
	pathBuf  []byte
	hostBuf  []byte
	port     int

	buffers   [][]byte                       // free list
	exchanges []*exchange                    // free list
	handed    []handed                       // connections that were freed in this call of the driver
	streams   []*h2Stream                    // free list
	unsent    []flusher                      // have something to send when this call of the driver ends
	origins   map[*upstream.Endpoint][]*upH2 // upstream HTTP/2 connections that take exchanges
	h2Pool    h2.Pool
	telling   bool     // rounds of Tell go on
	none      exchange // what idle connections show; never written to
}

// Invariant: a role sits at the slot of its connection from Accepted or Dial until
// Closed, or a failed Dialed.
func (l *loop) setRole(id engine.ConnID, r role) {
	for id.Slot() >= len(l.roles) {
		l.roles = append(l.roles, nil)
	}
	l.roles[id.Slot()] = r
}

// Accepted implements engine.Handler.
func (l *loop) Accepted(id engine.ConnID, listener int, peer engine.Peer) {
	ln := l.listeners[listener]
	ln.accepted.Add(1)
	expected, trusted := l.proxied(ln, peer)
	if !trusted {
		l.turnAway(id, ln)
		return
	}
	if ln.cfg.Protocol == TCP {
		c := &tcpConn{half: half{l: l, id: id}, ln: ln, ends: l.ends(peer)}
		l.setRole(id, c)
		defer l.contain(id, c)
		c.begin(ln.opening(expected))
		return
	}
	d := downstream{half: half{l: l, id: id}, ln: ln, ends: l.ends(peer)}
	c := &httpConn{downstream: d, opening: ln.opening(expected), linger: l.cfg.Linger, x: &l.none}
	l.setRole(id, c)
	defer l.contain(id, c)
	c.open()
}

// Dialed implements engine.Handler.
func (l *loop) Dialed(id engine.ConnID, err error) {
	r := l.roles[id.Slot()]
	defer l.contain(id, r)
	if err != nil {
		l.roles[id.Slot()] = nil
	}
	r.dialed(err)
	l.settle()
}

// Received implements engine.Handler.
func (l *loop) Received(id engine.ConnID, b []byte) {
	r := l.roles[id.Slot()]
	defer l.contain(id, r)
	r.received(b)
	l.settle()
}

// EOF implements engine.Handler.
func (l *loop) EOF(id engine.ConnID) {
	r := l.roles[id.Slot()]
	defer l.contain(id, r)
	r.eof()
	l.settle()
}

// Sent implements engine.Handler.
func (l *loop) Sent(id engine.ConnID) {
	r := l.roles[id.Slot()]
	defer l.contain(id, r)
	r.sent()
	l.settle()
}

// Moved implements engine.Handler.
func (l *loop) Moved(_, src engine.ConnID, n int64, done bool) {
	r := l.roles[src.Slot()]
	defer l.contain(src, r)
	r.moved(n, done)
	l.settle()
}

// Closed implements engine.Handler.
func (l *loop) Closed(id engine.ConnID, end engine.End) {
	r := l.roles[id.Slot()]
	l.roles[id.Slot()] = nil
	defer l.contain(id, r)
	r.closed(end)
	l.settle()
}

// Fired implements engine.Handler.
func (l *loop) Fired(id engine.ConnID, t engine.Timer) {
	r := l.roles[id.Slot()]
	defer l.contain(id, r)
	r.fired(t)
	l.settle()
}

// Answer implements engine.Handler.
func (l *loop) Answer(id engine.ConnID, v any) {
	r := l.roles[id.Slot()]
	defer l.contain(id, r)
	r.answer(v)
	l.settle()
}

// What arrives by Post.
type (
	evictNote struct {
		id    engine.ConnID
		cause drain.Cause
	}
	sweepNote  struct{} // endpoints left the policy
	shutNote   struct{} // the listeners are closed: whoever was never admitted goes
	retireNote struct{} // nobody is left: idle upstream connections go
	admitNote  struct{} // the tracker is open: whoever waits gets a handle
)

// Notice implements engine.Handler.
func (l *loop) Notice(v any) {
	switch v := v.(type) {
	case evictNote:
		// The connection may have ended since; another may have its slot.
		if r := l.at(v.id); r != nil {
			l.evict(v.id, r, v.cause)
		} else if evict := l.headless[v.id]; evict != nil {
			evict(v.cause)
		}
	case sweepNote:
		l.sweep()
	case spareNote:
		l.spareOne()
	case turnNote:
		l.turn()
	case grantNote:
		l.deliverNoted(v.Grant)
	case giveUpNote:
		l.giveUp(v.cluster)
	case checkNote:
		v.ck.due()
	case refusalNote:
		v.out <- l.turnedAway.find(v.id)
	case lookNote:
		l.look(v)
	case patrolNote:
		l.patrolled(v)
	case tellNote:
		l.tell(v)
	case shutNote:
		l.eachUnadmitted(admissible.leaveUnadmitted)
		l.quit()
	case retireNote:
		for l.spareOne() {
		}
		l.retiring.done()
	case pingNote:
		l.ponged.Store(l.pinged.Load())
	case admitNote:
		l.reconcile()
		l.eachUnadmitted(admissible.admitLate)
	}
	l.settle()
}

func (l *loop) evict(id engine.ConnID, r role, cause drain.Cause) {
	defer l.contain(id, r)
	r.evict(cause)
}

// admissible is a role that may live without a handle.
type admissible interface {
	role
	known() *downstream
	admitLate()
	leaveUnadmitted()
}

func (l *loop) eachUnadmitted(f func(admissible)) {
	for _, r := range l.roles {
		if c, ok := r.(admissible); ok && c.known().handle == nil {
			l.each(c, f)
		}
	}
}

func (l *loop) each(c admissible, f func(admissible)) {
	defer l.contain(c.known().id, c)
	f(c)
}

// at is the role of a downstream connection that may have ended since.
func (l *loop) at(id engine.ConnID) role {
	if id.Slot() >= len(l.roles) {
		return nil
	}
	switch r := l.roles[id.Slot()].(type) {
	case *httpConn:
		if r.id == id {
			return r
		}
	case *h2Conn:
		if r.id == id {
			return r
		}
	case *tunnelConn:
		if r.id == id {
			return r
		}
	case *tcpConn:
		if r.id == id {
			return r
		}
	}
	return nil
}

// settle ends a call of the driver: what was gathered leaves in one piece.
func (l *loop) settle() {
	if len(l.handed) > 0 {
		l.handOver()
	}
	for len(l.unsent) > 0 || len(l.parted) > 0 {
		l.partEnds()
		l.flushStreams()
	}
	l.log.flush()
	l.decisions.flush()
}

// flushStreams sends what the streams of connections gathered. That may free upstream connections, which
// others wait for.
func (l *loop) flushStreams() {
	for len(l.unsent) > 0 {
		n := len(l.unsent) - 1
		c := l.unsent[n]
		l.unsent = l.unsent[:n]
		l.flushOne(c)
	}
	if len(l.handed) > 0 {
		l.handOver()
	}
}

// flusher is a connection that gathers what it sends during a call of the driver.
type flusher interface {
	role
	flush()
	conn() engine.ConnID
}

func (l *loop) flushOne(c flusher) {
	defer l.contained(c.conn(), c)
	c.flush()
}

func (l *loop) now() time.Time { return l.sh.Now() }

// getBuffer and putBuffer keep the buffers of connections that wait for nothing: an
// idle connection holds none.
func (l *loop) getBuffer() []byte {
	if n := len(l.buffers); n > 0 {
		b := l.buffers[n-1]
		l.buffers = l.buffers[:n-1]
		return b[:0]
	}
	return make([]byte, 0, 2048)
}

const (
	maxFree       = 1024     // buffers kept for reuse
	maxFreeBuffer = 64 << 10 // larger ones go to the collector
)

func (l *loop) putBuffer(b []byte) {
	if cap(b) > 0 && cap(b) <= maxFreeBuffer && len(l.buffers) < maxFree {
		l.buffers = append(l.buffers, b)
	}
}
