package world

import (
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// What a client reads, and what it thinks of it.

func (c *client) data(b []byte) {
	c.got = append(c.got, b...)
	for !c.ended && c.parse() {
	}
	// Some clients read late, so that data waits in the network; some much too late.
	if c.ended || !c.w.net.Chance(0.05) {
		return
	}
	c.w.net.Count["slow reader"]++
	pause := c.w.net.Between(0, 700*time.Millisecond)
	if !c.stalled && c.inBody && c.body.Remaining() > 1000 && c.w.net.Chance(0.4) {
		c.w.net.Count["stalled reader"]++
		c.stalled = true
		pause = 25 * time.Second
		c.w.stalls(c.sock)
	}
	sock := c.sock
	sock.Pause()
	c.readsAt = c.w.net.Now().Add(pause)
	c.w.net.After(pause, sock.Resume)
}

// parse takes one step through what came; false: more is needed.
func (c *client) parse() bool {
	if len(c.pending) == 0 {
		if len(c.got) > 0 {
			c.w.violate("a client got %q without having asked", c.got[:min(60, len(c.got))])
			c.stop()
		}
		return false
	}
	r := c.pending[0]
	if !c.inBody {
		n, err := c.resp.Parse(c.got, r.method == "HEAD", h1.Limits{})
		if err != nil {
			c.w.violate("r%d: the response is malformed: %v: %q", r.num, err, c.got[:min(80, len(c.got))])
			c.stop()
			return false
		}
		if n == 0 {
			return false
		}
		switch {
		case c.resp.Status == 101:
			c.switched(r, c.got[n:])
			return false
		case c.resp.Status >= 200:
			c.responds(r)
		}
		c.got = c.got[n:]
		return true
	}
	for len(c.got) > 0 && !c.body.Done() {
		data, n, err := c.body.Next(c.got)
		if err != nil {
			c.w.violate("r%d: the response body is malformed: %v", r.num, err)
			c.stop()
			return false
		}
		c.match.add(data)
		c.got = c.got[n:]
	}
	if !c.body.Done() {
		return false
	}
	c.answered(r)
	return true
}

// responds: the head of the response to r was read, and is still in c.got.
func (c *client) responds(r *request) {
	w := c.w
	r.status = c.resp.Status
	c.told = !c.resp.KeepAlive
	c.body.Reset(c.resp.Body, c.resp.Length)
	c.inBody = true
	c.match = matcher{want: body(r.num, r.respLen)}
	if r.method == "HEAD" {
		c.match.want = nil
	}
	if r.status != 200 {
		reason, _ := c.resp.Field("x-sluice-reason")
		w.judgeRefusal(c.party(), r, string(reason))
		return
	}
	of, _ := c.resp.Field("x-for")
	if n, ok := numberAfter(of, 'r'); !ok || n != r.num {
		w.violate("r%d got the response to %q", r.num, of)
	}
	w.judgePermission(r, "200")
}

// judgePermission: r got what; did some version in force meanwhile allow it?
func (w *world) judgePermission(r *request, what string) {
	switch {
	case r.path == "no", r.path == "key" && r.key != goodKey:
		w.violate("r%d was not allowed and got %s", r.num, what)
	case r.path == "flip" && !w.inForce(r.sentAt, odd):
		w.violate("r%d got %s and no version in force meanwhile allows it", r.num, what)
	}
}

// answered: a complete response to r.
func (c *client) answered(r *request) {
	w := c.w
	c.pending = c.pending[1:]
	c.inBody = false
	r.answered, r.answeredAt = true, w.net.Now()
	w.trace("client %v has %d for r%d (close %v)", c.sock.Addr, r.status, r.num, c.told)
	w.judgeBody(r, &c.match)
	if c.told {
		c.dismissed(r)
		return
	}
	if r.goodbye && len(c.pending) == 0 && r.sentAt.After(w.undoneAt) && w.tracker.State() >= drain.Leaving {
		w.violate("r%d was sent during the goodbye, and its response does not say it", r.num)
	}
	switch {
	case len(c.pending) > 0:
	case c.kind == upgrader: // what it sent behind its request was for a tunnel
		c.stop()
	case c.left > 0 && c.kind == perRequest:
		c.stop()
		c.again()
	case c.left > 0:
		w.net.After(w.net.Between(0, 400*time.Millisecond), c.send)
	case w.net.Chance(0.5):
		c.stop()
	}
}

// judgeBody: a response that looks whole came in answer to r.
func (w *world) judgeBody(r *request, m *matcher) {
	switch {
	case r.status != 200 || m.whole():
	case r.flawed && r.sound == nil:
		w.violate("r%d: a truncated response (%d of %d bytes) looks whole", r.num, m.n, len(m.want))
	default:
		w.violate("r%d got another body: %d bytes, want %d", r.num, m.n, len(m.want))
	}
}

// dismissed: the response to r told the client to leave. What it sent behind r is to be
// sent again (RFC 9112 section 9.3.2); but nobody is told to leave without a reason.
func (c *client) dismissed(r *request) {
	w := c.w
	serves := w.left.IsZero() && w.doorShut.IsZero() && r.sentAt.After(w.undoneAt)
	if serves && r.status == 200 && r.sound != nil && r.earlyAt.IsZero() {
		w.violate("r%d: the client was told to leave although the proxy serves", r.num)
	}
	for _, p := range c.pending {
		p.excused = true
	}
	c.pending = nil
	c.stop()
	c.again()
}

// again goes on with a new connection, after a while.
func (c *client) again() {
	if c.left > 0 && !c.w.quiet && c.kind != rude {
		c.w.net.After(c.w.net.Between(0, 200*time.Millisecond), c.connect)
	}
}

// stop closes our side in good order.
func (c *client) stop() {
	if c.ended {
		return
	}
	c.ended = true
	c.sock.CloseWrite()
	sock := c.sock
	sock.SetEvents(sim.Events{EOF: sock.Close, Reset: func() {}})
	sock.Resume()
	c.w.net.After(20*time.Second, sock.Close)
	c.w.parted = append(c.w.parted, c.w.net.Now())
}

// end: the proxy closed, or reset.
func (c *client) end(how string) {
	if c.ended {
		return
	}
	c.ended = true
	if c.inBody && how == "closed" && c.body.EOF() == nil && len(c.pending) > 0 {
		c.answered(c.pending[0]) // the body lasted until the close
	}
	if len(c.pending) == 0 && !c.writing && c.kind != halfOpen { // whoever sent FIN gets one
		c.w.closedIdle(c, how)
	}
	for i, r := range c.pending {
		c.w.trace("client %v: r%d %s", c.sock.Addr, r.num, how)
		if i > 0 && (c.pending[0].upstreamsFault() || c.w.pastClass(c.pending[0].path) || c.w.ends(c.pending[0])) {
			r.excused = true // behind a response that an upstream, its route's deadline, or the end of its session cut short
		}
		c.w.lost(c.party(), r, how)
	}
	c.pending = nil
	c.sock.Close()
	c.again()
}

// closedIdle: the proxy ended a connection on which nothing was owed.
func (w *world) closedIdle(c *client, how string) {
	if w.struck[c.sock.Addr] || w.wasEvicted(c.sock.Addr) || w.mayGiveUp(c.sock.Addr) {
		w.parted = append(w.parted, w.net.Now())
		return
	}
	if how == "reset" && !(w.cutNow() && !w.steered.deadline.IsZero()) { // a deadline that came sooner cuts short how long a close may take
		w.violate("an idle connection was reset")
	}
	if w.drainBegan.IsZero() || !w.exited.IsZero() || w.admittedAt.IsZero() {
		return
	}
	lasted, budget := w.net.Now().Sub(w.drainBegan), w.leastBudget()
	early := w.cancelled.IsZero() && lasted < min(drain.DefaultIdleClose, budget/3)
	if early && w.pastClass("pub") { // its response was there in full, and for the proxy still under way
		w.parted = append(w.parted, w.net.Now())
		return
	}
	w.idleEnds++
	w.idleEnded[c.sock.Addr.String()] = true
	if early {
		w.violate("a connection was closed idle %v after draining began", lasted)
	}
}

// judgeRefusal asks whether a refusal was deserved.
func (w *world) judgeRefusal(c party, r *request, reason string) {
	c.writing = false // it was answered
	unfair := func() { w.violate("r%d (%s, key %q) got %d (%s)", r.num, r.path, r.key, r.status, reason) }
	switch {
	case r.status == 500 && reason == "panic":
		if !r.struck && !w.struck[c.addr] {
			w.violate("r%d got 500 and no panic met it", r.num)
		}
	case r.status == 503 && reason == "draining":
		if !w.admittedAt.IsZero() {
			w.violate("r%d reached us and was refused because of the drain", r.num)
		}
	case r.status == 503 && reason == "policy_unsynced":
		if !w.admittedAt.IsZero() && r.sentAt.After(w.admittedAt) {
			w.violate("r%d was refused for want of a policy that is in force", r.num)
		}
	case r.status == 503 && reason == "closed_by_operator":
		if !w.wasEvicted(c.addr) {
			w.violate("r%d was closed by an operator who never asked for that", r.num)
		}
		w.claimEvicted(c.claims(r))
	case r.status == 503 && reason == "route_deadline":
		if !w.pastClass(r.path) {
			w.violate("r%d (%s) was cut before the deadline of its route", r.num, r.path)
		}
		w.claims = append(w.claims, c.claims(r))
	case r.status == 503 && reason == "peer_stuck":
		if !w.mayGiveUp(c.addr) {
			w.violate("r%d was given up, and its client was reading", r.num)
		}
		w.claims = append(w.claims, c.claims(r))
	case r.status == 503 && reason == "drain_deadline":
		if !w.cutNow() && w.exited.IsZero() {
			w.violate("r%d was cut before the deadline", r.num)
		}
		w.claims = append(w.claims, c.claims(r))
	case r.status == 403 && r.path == "no", r.status == 401 && r.path == "key" && r.key != goodKey:
	case r.status == 403 && r.path == "flip":
		if !w.inForce(r.sentAt, even) {
			w.violate("r%d was refused and no version in force meanwhile refuses it", r.num)
		}
	case r.status == 401 && reason == "session_revoked":
		if !w.ends(r) {
			w.violate("r%d was refused, and its session was never revoked", r.num)
		}
	case r.status == 503 && reason == "pending_timeout":
		w.net.Count["pending timeout"]++
		if !w.crowded() && w.net.Now().After(c.readsAt.Add(4*w.net.MaxDelay)) { // whoever reads late was refused long before
			w.violate("r%d waited in vain although a connection was free", r.num)
		}
	case r.status == 503 && reason == "no_healthy_endpoint":
		w.net.Count["all endpoints out"]++
		if !w.allOut(r.sentAt) {
			w.violate("r%d found no healthy endpoint although an upstream listened", r.num)
		}
	case r.status == 502 && reason == "connect_failed":
		if !w.unreachable(r.sentAt) && !r.upstreamsFault() { // who was refused by some may find no other that takes it
			w.violate("r%d got 502 (connect_failed) although an upstream listened", r.num)
		}
	case r.status == 502, r.status == 504:
		if !r.upstreamsFault() {
			w.violate("r%d got %d (%s) although every upstream was well", r.num, r.status, reason)
		}
	default:
		unfair()
	}
}
