package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// How a client's HTTP/2 connection is left without losing a request (RFC 9113 section 6.8). First the
// notice: GOAWAY that refuses nothing, and a PING. When the PING is answered, the client knows, and nothing
// that it sent before is on its way any more. But it may have given a stream to a request before it knew, and send
// it after the answer: golang.org/x/net does, when the request's goroutine is slower than the one that reads. So
// there is a moment more, and only then the final GOAWAY names the last stream. What runs is finished, and then the connection closes.

const (
	noticeWait   = 2 * time.Second        // for the answer to the notice
	noticeSettle = 100 * time.Millisecond // after it, for what was given a stream before
)

// goodbye is how far the goodbye of a connection is. The zero value: nothing was said.
type goodbye struct {
	stage     goodbyeStage
	noticeDue time.Time // when the notice counts as heard: without an answer, or a moment after it
	retireDue time.Time // when the connection is too old
	departs   bool      // a refusal said so: the client needs another connection
}

type goodbyeStage uint8

const (
	staying  goodbyeStage = iota
	noticed               // the notice is on its way
	answered              // the client knows, and may be sending what it began before
	heard                 // the client knows
)

// mayLeave says goodbye if it is time to. It is asked with each response, and by the rounds of a stop.
func (c *h2Conn) mayLeave() {
	f := &c.l.cfg.Faults
	if c.handle == nil || f.IgnoreGoodbye {
		return
	}
	if !c.handle.Goodbye() && !(f.TellNewcomers && c.l.tracker.State() == drain.Leaving) {
		return
	}
	c.notice()
	if f.FinalAtOnce {
		c.stage = heard
	}
	c.final()
}

// notice begins the goodbye.
func (c *h2Conn) notice() {
	if c.stage != staying || c.closing {
		return
	}
	c.stage = noticed
	if c.handle != nil {
		c.handle.Told()
	}
	c.core.Notice()
	c.noticeDue = c.l.now().Add(noticeWait)
	c.schedule(c.noticeDue)
	c.dirty()
}

// NoticeAcked implements h2.Events.
func (c *h2Conn) NoticeAcked() {
	if c.stage == noticed {
		c.stage = answered
		c.noticeDue = c.l.now().Add(noticeSettle)
		c.schedule(c.noticeDue)
	}
}

// final sends the final GOAWAY, if the client has heard the first. In a lame duck that may be undone it is not
// said yet: until then everything is served.
func (c *h2Conn) final() {
	if c.stage == heard && (c.l.tracker.State() >= drain.Draining || c.departs && c.handle == nil || c.retiring()) {
		c.core.Leave()
		c.dirty()
	}
}

// depart tells a client to leave that was refused. What it sent before it hears is answered like any request; if the connection
// is admitted meanwhile it may stay, like one that was told in a lame duck that was undone.
func (c *h2Conn) depart() {
	c.departs = true
	c.notice()
	c.final() // who was told before
}

// retiring reports whether the connection is left for its own sake, and not for that of a stop.
func (c *h2Conn) retiring() bool {
	lim := c.l.cfg.HTTP2
	return lim.MaxRequests > 0 && c.served >= lim.MaxRequests || reached(c.retireDue, c.l.now())
}

// mayRetire says goodbye to a connection that has carried as much as one may.
func (c *h2Conn) mayRetire() {
	if c.retiring() {
		c.notice()
		c.final() // who was told in a lame duck that was undone, and stayed
	}
}

// ages starts the life of a connection: a tenth more or less than the configured one, so that
// those that came together do not go together.
func (c *h2Conn) ages() {
	if age := c.l.cfg.HTTP2.MaxAge; age > 0 {
		jitter := time.Duration(c.l.rnd.Uint64() % uint64(age/5+1))
		c.retireDue = c.l.now().Add(age - age/10 + jitter)
		c.schedule(c.retireDue)
	}
}

func (c *h2Conn) goodbyeDue(now time.Time) {
	c.mayRetire()
	if reached(c.noticeDue, now) {
		if c.stage == noticed {
			c.l.stats.h2Unheard.Add(1)
		}
		c.stage, c.noticeDue = heard, time.Time{}
	}
	c.final()
}

func (c *h2Conn) nextGoodbye() time.Time {
	next := c.noticeDue
	if !reached(c.retireDue, c.l.now()) {
		next = earlier(next, c.retireDue)
	}
	return next
}

// evict is asked for by the tracker; the state decides, since the connection may
// have become active in between.
func (c *h2Conn) evict(cause drain.Cause) {
	if cause == drain.CauseFarewell {
		c.leaving = true
		c.core.Each(func(s *h2.Stream) {
			if st, ok := s.Owner.(*h2Stream); ok {
				st.farewell()
			}
		})
		c.dirty()
		return
	}
	busy := c.busy()
	if cause.Cuts() {
		c.linger = min(c.linger, cutLinger)
	}
	switch {
	case c.closing:
		if cause.Cuts() {
			c.hurried = true
			c.evictTunnels(cause)
			c.l.sh.Abort(c.id)
		}
	case !cause.Cuts():
		if !busy { // the final GOAWAY tells it that nothing was done with what it may be sending
			c.decide(drain.IdleClosed)
			c.shut()
		}
	case cause == drain.CauseOperator && len(c.tunnels) > 0 && c.onlyTunnels():
		c.evictTunnels(cause) // with a goodbye, for which there is a moment
		c.core.Leave()
		c.dirty()
	case busy:
		c.cut(cause)
	default:
		c.decide(drain.IdleClosed)
		c.shut()
	}
}

// onlyTunnels reports whether no exchange runs.
func (c *h2Conn) onlyTunnels() bool {
	only := true
	c.core.Each(func(s *h2.Stream) {
		st, ok := s.Owner.(*h2Stream)
		only = only && ok && st.tunnel != nil
	})
	return only
}

// farewell is drain.CauseFarewell for a stream.
func (st *h2Stream) farewell() {
	if st.tunnel != nil {
		st.tunnel.end.evict(drain.CauseFarewell)
		return
	}
	st.x.farewell()
}

// cut ends what has not finished.
func (c *h2Conn) cut(cause drain.Cause) {
	c.decided, c.outcome = true, drain.Cut
	c.hurried = true
	if c.handle != nil {
		c.handle.Owes(c.owes())
	}
	c.countUnfinished()
	if !c.l.cfg.Faults.ForgetTunnels {
		c.evictTunnels(cause)
	}
	c.core.Each(func(s *h2.Stream) {
		st, ok := s.Owner.(*h2Stream)
		switch {
		case !ok || st.tunnel != nil:
		case st.x.running() && !st.x.headSent:
			st.x.reply(cutResponse(cause))
		default:
			st.drop(whyCut(cause))
		}
	})
	c.shut()
}

// owes names the requests that have no whole answer, and the tunnels that are not over.
func (c *h2Conn) owes() (ids []string) {
	for _, p := range c.tunnels[:min(len(c.tunnels), maxOwed)] {
		ids = append(ids, p.request)
	}
	c.core.Each(func(s *h2.Stream) {
		if st, ok := s.Owner.(*h2Stream); ok && st.tunnel == nil && len(ids) < maxOwed {
			ids = append(ids, string(st.x.id.bytes()))
		}
	})
	return ids
}

// leaveUnadmitted ends a connection that was never admitted, once nobody will be.
func (c *h2Conn) leaveUnadmitted() {
	if c.core.Streams() == 0 {
		c.idleDue = c.l.now().Add(lastWords)
		c.schedule(c.idleDue)
	}
}

func (c *h2Conn) contained() {
	if st := c.current; st != nil {
		c.current = nil
		st.contained()
		c.dirty()
		return
	}
	c.decide(drain.Errored)
	c.core.Abort(h2.InternalError)
	c.core.Each(func(s *h2.Stream) {
		if st, ok := s.Owner.(*h2Stream); ok {
			st.x.wreck()
		}
	})
	c.abort()
}

func (c *h2Conn) detail() Detail {
	d := Detail{Queued: c.l.sh.Queued(c.id)}
	switch {
	case c.closing:
		d.Waits = "for the close to end"
	case c.core.Streams() > 0:
		c.core.Each(func(s *h2.Stream) { // the oldest
			st, ok := s.Owner.(*h2Stream)
			switch {
			case !ok:
			case st.tunnel != nil:
				of := st.tunnel.end.p.detail()
				d.Waits = of.Waits
				d.Queued += of.Queued
				return
			case st.x.running():
				d.Waits = st.x.awaits()
			}
			d.Queued += s.Queued()
		})
		if d.Waits == "" {
			d.Waits = "for the client to take a response"
		}
	case len(c.tunnels) > 0: // its client is gone
		return c.tunnels[0].detail()
	case d.Queued > 0:
		d.Waits = "for the client to take the rest of a response"
	}
	return d
}

// The rounds of a stop: HTTP/1.1 hears of it with its next response, but an HTTP/2 connection is told at once. Each
// loop looks at its connections again and again until it is drained.

// tellNote begins the rounds or, if goesOn, continues one at the slot from.
type tellNote struct {
	from   int
	goesOn bool
}

// tellEvery is the pause between two rounds.
const tellEvery = 50 * time.Millisecond

// tellPiece is how many connections a loop looks at between two of its events.
const tellPiece = 256

// Tell makes every loop say goodbye to those of its connections that can be told by themselves, each when it is its
// turn, until the stop is over or was undone. Call it when the lame duck begins, and again when draining does; any
// goroutine may. A round that runs goes on, so once is enough.
func (core *Core) Tell() { core.postAll(tellNote{}) }

func (l *loop) tell(n tellNote) {
	if l.telling && !n.goesOn {
		return
	}
	state := l.tracker.State()
	l.telling = state == drain.Leaving || state == drain.Draining
	if !l.telling {
		return
	}
	end := min(n.from+tellPiece, len(l.roles))
	for _, r := range l.roles[n.from:end] {
		if c, ok := r.(*h2Conn); ok {
			l.tellOne(c)
		}
	}
	shard, post := l.sh.Index(), l.post
	if end < len(l.roles) {
		post(shard, tellNote{from: end, goesOn: true})
		return
	}
	l.cfg.AfterFunc(tellEvery, func() { post(shard, tellNote{goesOn: true}) })
}

func (l *loop) tellOne(c *h2Conn) {
	defer l.contain(c.id, c)
	c.mayLeave()
}
