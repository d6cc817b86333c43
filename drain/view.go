package drain

import (
	"cmp"
	"slices"
	"time"
)

// View is who holds the drain, or would hold one that began now. Its parts are from
// slightly different moments: nobody is stopped to be looked at.
type View struct {
	At       time.Time     `json:"at"`
	Deadline time.Time     `json:"deadline,omitzero"` // zero outside Draining
	Total    ClassCounts   `json:"total"`
	Groups   []HolderGroup `json:"groups"` // the largest first, at most 100
	Holders  []Holder      `json:"holders"`
}

// HolderGroup is the connections of one kind.
type HolderGroup struct {
	Listener string `json:"listener"`
	Protocol string `json:"protocol"`
	Route    string `json:"route,omitempty"`
	Class    Class  `json:"class"`
	Count    int    `json:"count"`
	OldestMS int64  `json:"oldest_ms"` // of this class, the longest so far
}

// maxGroups bounds the groups of a view: there may be 100,000 routes.
const maxGroups = 100

// End is when a connection is expected to be gone.
type End struct {
	InMS int64 `json:"in_ms"` // from the moment of the view; 0 if EndUnknown
	By   EndBy `json:"by"`
	// CutChance is the chance that the deadline comes first, by what was observed on its
	// route; absent outside a drain, and where too little was.
	CutChance *float64 `json:"cut_chance,omitempty"`
}

// EndBy is what an expected end rests on.
type EndBy string

// What an expected end rests on.
const (
	EndObserved EndBy = "observed"       // half of those that lasted as long on this route were over by then
	EndIdle     EndBy = "idle_close"     // a rule: what stays idle is closed by then
	EndDeadline EndBy = "deadline"       // nothing says that it will be over before the deadline
	EndRoute    EndBy = "route_deadline" // or before that of its route
	EndUnknown  EndBy = "unknown"        // no drain runs, and too little was observed
)

// View lists at most max holders, those first that a drain waits for: exchanges and
// tunnels, the oldest first, and then what idles. max <= 0 is all. The lock is held for a
// piece of the table at a time.
func (t *Tracker) View(max int) View {
	now := t.cfg.Now()
	tick := t.tickAt(now)
	v := View{At: now, Groups: []HolderGroup{}, Holders: []Holder{}}
	groups := groups{}
	conns := t.pick(max, func(c *Conn) uint64 {
		w := c.load()
		v.Total.add(w.class())
		groups.add(c, w, tick)
		if class := w.class(); class == Active || class == Tunnel {
			return c.id
		}
		return 1<<63 | c.id
	})
	v.Groups = groups.list()
	p := t.predictor(now)
	v.Deadline = p.deadline
	for _, c := range conns {
		h := c.holder(now, tick)
		if h.Class == Gone {
			continue
		}
		end := p.end(c, h.Class, c.load().lasted(tick))
		h.Ends = &end
		v.Holders = append(v.Holders, h)
	}
	return v
}

// groups gathers connections by kind.
type groups map[groupKey]*groupSum

// groupKey holds the route by its place: to compare names for each of a crowd is dear.
type groupKey struct {
	listener, protocol string
	route              *string
	class              Class
}

type groupSum struct {
	n       int
	longest time.Duration
}

func (g groups) add(c *Conn, w word, tick uint64) {
	k := groupKey{c.kind.listener, c.kind.protocol, c.route.Load(), w.class()}
	s := g[k]
	if s == nil {
		s = &groupSum{}
		g[k] = s
	}
	s.n++
	s.longest = max(s.longest, w.lasted(tick))
}

// list merges what has the same names: a route has another place in each policy version.
func (g groups) list() []HolderGroup {
	sums := map[HolderGroup]*groupSum{}
	for k, s := range g {
		named := HolderGroup{Listener: k.listener, Protocol: k.protocol, Class: k.class}
		if k.route != nil {
			named.Route = *k.route
		}
		all := sums[named]
		if all == nil {
			all = &groupSum{}
			sums[named] = all
		}
		all.n += s.n
		all.longest = max(all.longest, s.longest)
	}
	out := make([]HolderGroup, 0, len(sums))
	for named, s := range sums {
		named.Count, named.OldestMS = s.n, s.longest.Milliseconds()
		out = append(out, named)
	}
	slices.SortFunc(out, func(a, b HolderGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Listener, b.Listener), cmp.Compare(a.Route, b.Route))
	})
	return out[:min(len(out), maxGroups)]
}
