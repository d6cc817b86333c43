package proxy

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// An admitted connection holds a place in each of up to three counts: of all, of its
// listener, of its source. The counts are shared by the loops and exact: none is ever over
// its limit, and none refuses while it has room.

// overLimit is a connection that found no place.
type overLimit struct {
	why  refusal
	text string // for the client
}

func (o *overLimit) Error() string { return o.text }

// whyNot is what a connection that was not admitted is counted as: the limit that it
// met, or otherwise.
func whyNot(err error, otherwise refusal) refusal {
	if full, ok := err.(*overLimit); ok {
		return full.why
	}
	return otherwise
}

// The limits.
var (
	errLimit         = &overLimit{refusedLimit, "too many connections (limits.max_connections)"}
	errListenerLimit = &overLimit{refusedListenerLimit, "too many connections on this listener (max_connections)"}
	errSourceLimit   = &overLimit{refusedSourceLimit, "too many connections from this address (limits.per_source)"}
)

// track gets a handle for a connection, from the one place that admits.
func (l *loop) track(id engine.ConnID, ln *listener, peer netip.AddrPort) (*drain.Conn, error) {
	if full := l.takePlace(ln, peer.Addr()); full != nil {
		return nil, full
	}
	h, err := l.tracker.Track(drain.Meta{Listener: ln.cfg.Name, Protocol: ln.cfg.Protocol.String(), Peer: peer, Ref: uint64(id)},
		func(cause drain.Cause) { l.post(l.sh.Index(), evictNote{id, cause}) })
	if err != nil {
		l.leavePlace(ln, peer.Addr())
		return nil, err
	}
	return h, nil
}

// takePlace is all or nothing; nil: all.
func (core *Core) takePlace(ln *listener, source netip.Addr) *overLimit {
	if !takeOne(&core.open, core.cfg.MaxConnections) {
		return errLimit
	}
	if !takeOne(&ln.open, ln.cfg.MaxConnections) {
		core.open.Add(-1)
		return errListenerLimit
	}
	if core.countsSource(source) && !core.sources.take(source, core.cfg.PerSource) {
		ln.open.Add(-1)
		core.open.Add(-1)
		return errSourceLimit
	}
	return nil
}

// leavePlace undoes takePlace. Once for each.
func (core *Core) leavePlace(ln *listener, source netip.Addr) {
	if core.countsSource(source) {
		core.sources.leave(source)
	}
	ln.open.Add(-1)
	core.open.Add(-1)
}

// countsSource: behind a trusted hop are many clients, and which of them this connection
// carries is only known with each request.
func (core *Core) countsSource(a netip.Addr) bool { return core.cfg.PerSource > 0 && !core.trusts(a) }

// takeOne counts one more unless n is at its limit; limit <= 0: none.
func takeOne(n *atomic.Int64, limit int) bool {
	for {
		v := n.Load()
		if limit > 0 && v >= int64(limit) {
			return false
		}
		if n.CompareAndSwap(v, v+1) {
			return true
		}
	}
}

// sources counts connections by where they come from. The zero value is empty. It is no
// larger than the number of connections that are counted: a source without one has no entry.
type sources struct {
	mu sync.Mutex // guards n
	n  map[sourceKey]int32
}

// sourceKey is an IPv4 address, or the /64 of an IPv6 address: whoever has one has it all.
type sourceKey struct {
	bits uint64
	six  bool
}

func keyOf(a netip.Addr) sourceKey {
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		return sourceKey{bits: uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return sourceKey{bits: binary.BigEndian.Uint64(b[:8]), six: true}
}

func (s *sources) take(a netip.Addr, limit int) bool {
	k := keyOf(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n[k] >= int32(limit) {
		return false
	}
	if s.n == nil {
		s.n = map[sourceKey]int32{}
	}
	s.n[k]++
	return true
}

func (s *sources) leave(a netip.Addr) {
	k := keyOf(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n[k]--; s.n[k] <= 0 {
		delete(s.n, k)
	}
}

// size is the number of sources that have connections.
func (s *sources) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.n)
}
