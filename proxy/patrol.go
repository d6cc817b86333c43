package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/tunnel"
)

// The patrol: while draining, each loop looks again and again at the peers of what holds the
// drain. One that nothing is heard of any more (half-open), or that takes nothing of what it
// is owed (stuck), is not waited for. One that makes progress, however slow, is. The kernel
// knows; where it cannot be asked nothing is concluded, and the deadlines remain.

// patrolNote continues a round at the slot from.
type patrolNote struct{ from int }

// patrolPiece is how many connections a loop looks at between two of its events.
const patrolPiece = 64

// How often a silent peer is probed, and the least time of silence that means something: a
// probe and its answer may be lost, and sent again.
const (
	peerProbe   = time.Second
	leastSilent = 3 * time.Second
)

// peerWatch is what was seen of a peer since the patrol began to look at it.
type peerWatch struct {
	began time.Time
	acked int64
	since time.Time // it last made progress, or was owed nothing
}

// judge takes one look. bound is how long a peer may take nothing.
func (p *peerWatch) judge(v engine.Vital, now time.Time, bound time.Duration) (why drain.Cause, over bool) {
	if p.began.IsZero() {
		*p = peerWatch{began: now, acked: v.Acked, since: now}
		return 0, false
	}
	if v.Acked != p.acked || v.Pending == 0 {
		p.acked, p.since = v.Acked, now
	}
	switch {
	case min(v.Heard, now.Sub(p.began)) >= max(bound, leastSilent):
		return drain.CausePeerGone, true
	case now.Sub(p.since) >= bound:
		return drain.CausePeerStuck, true
	}
	return 0, false
}

// patrol is the state of one loop. The zero value does not patrol.
type patrol struct {
	seen, next map[engine.ConnID]*peerWatch // of the round before, and of this one
}

// Patrol makes every loop look at the peers of what holds the drain, until it is drained. Call
// it when draining begins; any goroutine may.
func (core *Core) Patrol() {
	if core.cfg.PeerTimeout > 0 && !core.cfg.Faults.NoPatrol {
		core.postAll(patrolNote{})
	}
}

// patrolled looks at one piece, and has the next one looked at after other events.
func (l *loop) patrolled(n patrolNote) {
	if n.from == 0 {
		if l.tracker.State() > drain.Draining {
			l.patrol = patrol{}
			return
		}
		l.patrol.seen, l.patrol.next = l.patrol.next, map[engine.ConnID]*peerWatch{}
	}
	end := min(n.from+patrolPiece, len(l.roles))
	for _, r := range l.roles[n.from:end] {
		switch r := r.(type) {
		case *httpConn:
			if r.handle != nil && r.state != closing && (r.x.running() || r.undelivered || r.state == flushing) {
				l.lookAt(r.id, r, r.handle)
			}
		case *h2Conn:
			if r.handle != nil && !r.closing && r.active {
				l.lookAt(r.id, r, r.handle)
			}
		case *tunnelConn:
			if r.end.p.t.State() != tunnel.Finished {
				l.lookAt(r.id, r, r.end.p.handle)
			}
		}
	}
	shard, post := l.sh.Index(), l.post
	if end < len(l.roles) {
		post(shard, patrolNote{end})
		return
	}
	l.cfg.AfterFunc(max(l.cfg.PeerTimeout/5, 100*time.Millisecond), func() { post(shard, patrolNote{}) })
}

// lookAt judges one peer, and closes what only waits for it. handle nil: that is one tunnel of a connection which goes on.
func (l *loop) lookAt(id engine.ConnID, r role, handle *drain.Conn) {
	w := l.patrol.seen[id]
	probe := time.Duration(0)
	if w == nil {
		w, probe = &peerWatch{}, peerProbe
	}
	v, known := l.sh.Check(id, probe)
	if !known {
		return
	}
	if why, over := w.judge(v, l.now(), l.cfg.PeerTimeout); over {
		if handle == nil || handle.Blame(why) {
			l.evict(id, r, why)
		}
		return
	}
	l.patrol.next[id] = w
}
