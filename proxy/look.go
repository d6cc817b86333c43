package proxy

import (
	"context"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/tunnel"
)

// Some of what is asked about a connection only its loop knows: what exactly is waited for,
// and how much waits to be sent. It is asked piece by piece, one loop after the other, so
// that a look takes a loop a few microseconds at a time.

// Detail is what a loop knows of one connection.
type Detail struct {
	Waits  string // for what: one of a closed set; empty: for nothing but its peer
	Queued int    // bytes that its peer's kernel was not given yet, of both ends of a tunnel
}

// lookPiece is how many connections a loop looks at between two of its events.
const lookPiece = 64

// lookNote asks a loop about connections of its own. out has room for one answer.
type lookNote struct {
	ids []engine.ConnID
	out chan<- map[engine.ConnID]Detail
}

// Look asks the loops about connections, by the Ref of their holders. Those that are gone
// are left out, and when ctx ends, those that nobody has answered for. Any goroutine may
// call it.
func (core *Core) Look(ctx context.Context, refs []uint64) map[uint64]Detail {
	all := make(map[uint64]Detail, len(refs))
	byShard := map[int][]engine.ConnID{}
	for _, ref := range refs {
		id := engine.ConnID(ref)
		byShard[id.Shard()] = append(byShard[id.Shard()], id)
	}
	core.mu.Lock()
	shards := len(core.loops)
	core.mu.Unlock()
	for shard := range shards {
		for ids := byShard[shard]; len(ids) > 0; {
			n := min(lookPiece, len(ids))
			out := make(chan map[engine.ConnID]Detail, 1)
			core.post(shard, lookNote{ids[:n], out})
			ids = ids[n:]
			select {
			case got := <-out:
				for id, d := range got {
					all[uint64(id)] = d
				}
			case <-ctx.Done(): // a loop that is over never answers
				return all
			}
		}
	}
	return all
}

// look answers a lookNote.
func (l *loop) look(n lookNote) {
	got := make(map[engine.ConnID]Detail, len(n.ids))
	for _, id := range n.ids {
		switch r := l.at(id).(type) {
		case *httpConn:
			got[id] = r.detail()
		case *h2Conn:
			got[id] = r.detail()
		case *tunnelConn:
			got[id] = r.end.p.detail()
		case *tcpConn:
			got[id] = r.detail()
		}
	}
	n.out <- got
}

func (c *httpConn) detail() Detail {
	d := Detail{Queued: c.l.sh.Queued(c.id)}
	switch c.state {
	case awaitHead:
		switch {
		case c.opening != ready:
			d.Waits = c.opening.awaits()
		case c.partial:
			d.Waits = "for the rest of a request head"
		case c.undelivered:
			d.Waits = "for the client to take the rest of a response"
		}
	case exchanging:
		d.Waits = c.x.awaits()
	case discarding:
		d.Waits = "for the rest of a request that is answered"
	case flushing:
		d.Waits = "for the client to take its last response"
	case closing:
		d.Waits = "for the close to end"
	}
	return d
}

// awaits says what an exchange waits for.
func (x *exchange) awaits() string {
	switch {
	case x.parked != nil:
		return "for a place in the decision log"
	case x.phase == deciding:
		return "for an authenticator"
	case x.waits:
		return "for a connection of cluster " + x.route.Cluster.Name()
	case x.up != nil && x.up.connecting():
		return "for a connection to " + x.up.endpoint().Addr
	case x.c.queued() > 0:
		return "for the client to take a response"
	case x.headSent:
		return "for the rest of a response"
	case !x.reqDone:
		return "for the rest of a request"
	}
	return "for the head of a response"
}

func (p *tunnelPair) detail() (d Detail) {
	for _, end := range p.ends {
		if !end.gone {
			d.Queued += end.queued()
		}
	}
	switch p.t.State() {
	case tunnel.Open, tunnel.NotStarted, tunnel.Finished:
	case tunnel.HalfClosed:
		d.Waits = "for the other half to end"
	case tunnel.Flushing, tunnel.Breaking:
		d.Waits = "for its last bytes to be taken"
	}
	if p.bye != nil && p.bye.s.Begun() {
		d.Waits = "for its sides to answer a Close"
	}
	if d.Waits == "" && d.Queued > 0 {
		d.Waits = "for a side to take what it was sent"
	}
	return d
}

func (c *tcpConn) detail() (d Detail) {
	switch {
	case c.opening != ready:
		d.Waits = c.opening.awaits()
	case c.waits:
		d.Waits = "for a connection of cluster " + c.route.Cluster.Name()
	case c.dial != nil:
		d.Waits = "for a connection to " + c.dial.ep.Addr
	case c.closing:
		d.Waits = "for the close to end"
	}
	return d
}
