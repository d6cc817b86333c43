package drain

import "time"

// A tunnel whose protocol has a way to say goodbye needs some time for it: CauseFarewell comes
// before its time is over. It cuts nothing, and an owner that has nothing to say ignores it.

// farewellEvery bounds how long a drain goes without looking for tunnels that are new, once
// their time is near.
const farewellEvery = 250 * time.Millisecond

// stepFarewell tells those whose time is nearly over, or whose Terms want to be told as soon as
// draining begins. Their moments are spread, so that not all connect anew in the same one. Call
// with mu held.
func (t *Tracker) stepFarewell(now time.Time) (next time.Time, out []eviction) {
	r := &t.run
	if r.lead <= 0 {
		return time.Time{}, nil
	}
	from := r.cutAt.Add(-r.lead)
	if now.Before(from) && t.shortest.Load() == 0 && !t.early.Load() {
		return from, nil
	}
	if now.Before(r.nearTurn) {
		return r.nearTurn, nil
	}
	wait := farewellEvery
	if now.Before(from) {
		wait = min(limitEvery, from.Sub(now))
	}
	tick := t.tickAt(now)
	for c := range t.table.all {
		if c.near || c.asked == askedCut {
			continue
		}
		at, wanted := t.farewellAt(c, now, tick)
		if !wanted {
			continue
		}
		if left := at.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		c.near = true
		out = append(out, eviction{c, CauseFarewell, c.order()})
	}
	sortEvictions(out)
	r.nearTurn = now.Add(max(wait, r.least))
	return r.nearTurn, out
}

// farewellAt is when a connection is to be told. Call with mu held.
func (t *Tracker) farewellAt(c *Conn, now time.Time, tick uint64) (at time.Time, wanted bool) {
	r, w, terms := &t.run, c.load(), c.terms.Load()
	share, class := t.share(c), w.class()
	early := terms != nil && terms.EarlyStreams
	if class == Active && !early && c.holds.Load() > 0 {
		class = Tunnel
	}
	switch class {
	case Active:
		if !early {
			return at, false
		}
	case Tunnel:
		if terms != nil && terms.EarlyTunnels {
			break
		}
		end, lead := r.cutAt, r.lead
		if d := c.limit(); d > 0 {
			if own := now.Add(d - min(now.Sub(r.began), w.lasted(tick))); own.Before(end) {
				end, lead = own, min(lead, d/4)
			}
		}
		return end.Add(-lead + time.Duration(share*float64(lead)/2)), true
	case Handshake, Idle, Gone:
		return at, false
	}
	return r.began.Add(time.Duration(share * float64(r.lead))), true
}

// share is the place of a connection among all, from 0 to below 1: by its order, and within an
// order so that any number of neighbours are spread evenly (multiples of the golden ratio).
func (t *Tracker) share(c *Conn) float64 {
	x := float64(c.id*0x9e3779b97f4a7c15>>11) / (1 << 53)
	if t.ordered.Load() {
		x = (x + float64(c.order()-First)) / 3
	}
	return x
}
