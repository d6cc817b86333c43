package drain

import (
	"cmp"
	"container/heap"
	"fmt"
	"slices"
	"time"
)

// Holder is a connection as others see it: who it is and why it holds the drain.
type Holder struct {
	ID        uint64 `json:"id"`
	Listener  string `json:"listener"`
	Protocol  string `json:"protocol"`
	Peer      string `json:"peer"`
	Class     Class  `json:"class"`
	Route     string `json:"route,omitempty"`
	Identity  string `json:"identity,omitempty"`
	AgeMS     int64  `json:"age_ms"`   // since accept
	ClassMS   int64  `json:"class_ms"` // since it has been of this class
	Exchanges uint32 `json:"exchanges"`
	BytesIn   int64  `json:"bytes_in"`
	BytesOut  int64  `json:"bytes_out"`
	Told      bool   `json:"told"`
	Why       string `json:"why"`
	Queued    int    `json:"queued,omitempty"` // bytes that wait to be sent, where somebody knows
	Cause     string `json:"cause,omitempty"`  // in a receipt: why it was cut, as Cause says
	Ends      *End   `json:"ends,omitempty"`   // in a view: when it is expected to be gone
	Ref       uint64 `json:"-"`                // Meta.Ref

	Requests    []string `json:"requests,omitempty"`     // IDs of those that got no whole answer
	BytesUnsent int64    `json:"bytes_unsent,omitempty"` // meant for the client, and not known to be there
}

// MarshalText is String, for JSON.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (c *Class) UnmarshalText(b []byte) error {
	for k := range numClasses {
		if k.String() == string(b) {
			*c = k
			return nil
		}
	}
	return fmt.Errorf("unknown class %q", b)
}

const whyTunnels = "tunnels are open within it"

func why(c Class) string {
	switch c {
	case Handshake:
		return "no request yet"
	case Idle:
		return "waiting for a next request"
	case Active:
		return "an exchange is running"
	case Tunnel:
		return "a tunnel is open"
	case Gone:
		return "gone"
	}
	return ""
}

// holder reads a connection. It takes no lock: what changes is atomic, so the parts
// may be from slightly different moments.
func (c *Conn) holder(now time.Time, tick uint64) Holder {
	w := c.load()
	h := Holder{
		ID: c.id, Ref: c.ref, Listener: c.kind.listener, Protocol: c.kind.protocol, Peer: c.Peer().String(),
		Class: w.class(), AgeMS: max(0, c.age(now)).Milliseconds(), ClassMS: w.lasted(tick).Milliseconds(),
		Exchanges: w.started(), BytesIn: c.in.Load(), BytesOut: c.out.Load(),
		Told: c.told.Load(), Why: why(w.class()), BytesUnsent: c.lost().unsent, Requests: c.lost().requests,
	}
	if h.Class == Active && c.holds.Load() > 0 {
		h.Why = whyTunnels
	}
	if p := c.route.Load(); p != nil {
		h.Route = *p
	}
	if p := c.identity.Load(); p != nil {
		h.Identity = *p
	}
	return h
}

// Snapshot lists who holds the drain, or would: the oldest max connections in the
// order of Track; max <= 0 is all of them. The lock is held for a piece of the table at a time.
func (t *Tracker) Snapshot(max int) []Holder {
	now := t.cfg.Now()
	tick := t.tickAt(now)
	conns := t.pick(max, func(c *Conn) uint64 { return c.id })
	holders := make([]Holder, 0, len(conns))
	for _, c := range conns {
		if h := c.holder(now, tick); h.Class != Gone {
			holders = append(holders, h)
		}
	}
	return holders
}

// oldest sorts conns, which is the caller's own, and returns the max lowest IDs.
func oldest(conns []*Conn, max int) []*Conn {
	slices.SortFunc(conns, func(a, b *Conn) int { return cmp.Compare(a.id, b.id) })
	if max > 0 && len(conns) > max {
		conns = conns[:max]
	}
	return conns
}

// pick returns the max connections that come first by rank, in that order; max <= 0 is all.
// A rank is read once, and is unique to a connection. It keeps a heap of max, so that
// looking at a crowd sorts only what is shown.
func (t *Tracker) pick(max int, rank func(*Conn) uint64) []*Conn {
	var best ranking
	t.look(func(c *Conn) {
		if c.Class() == Gone {
			return
		}
		r := ranked{c, rank(c)}
		switch {
		case max <= 0:
			best = append(best, r)
		case len(best) < max:
			heap.Push(&best, r)
		case r.rank < best[0].rank:
			best[0] = r
			heap.Fix(&best, 0)
		}
	})
	slices.SortFunc(best, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	conns := make([]*Conn, len(best))
	for i, r := range best {
		conns[i] = r.c
	}
	return conns
}

type ranked struct {
	c    *Conn
	rank uint64
}

// ranking is a heap with the last by rank on top.
type ranking []ranked

func (r ranking) Len() int           { return len(r) }
func (r ranking) Less(i, j int) bool { return r[i].rank > r[j].rank }
func (r ranking) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *ranking) Push(x any)        { *r = append(*r, x.(ranked)) }
func (r *ranking) Pop() any {
	last := len(*r) - 1
	x := (*r)[last]
	*r = (*r)[:last]
	return x
}
