package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// h2Conn is a downstream HTTP/2 connection: the role of the socket, and what the core tells of its
// streams. Each stream is the requester of an exchange. What is to be sent is gathered by the core during a
// call of the driver and leaves with its end, in one piece for all streams.
type h2Conn struct {
	downstream
	core *h2.Conn

	seq    uint32 // of exchanges
	served int    // requests that were begun
	born   time.Time
	goodbye
	linger time.Duration

	trailing int64 // bytes sent behind the last frame of a stream's message

	alarm    time.Time // for which TimerState is armed; zero: it is not
	idleDue  time.Time // while no stream is open: when the connection is closed for that
	helloDue time.Time // until the client's first frame is whole
	headDue  time.Time // while a frame or a head has begun and is not whole
	partial  uint32    // which one

	current *h2Stream // whose event is being handled, for a panic
	queued  bool      // in loop.unsent
	active  bool      // in the account
	closing bool      // Close or Abort was called; only closed comes
	mixed   bool      // exchanges of different routes ran at a time
	only    *Route    // the route of all exchanges that have one; nil: there are several, or it is not known
	counted bool      // what had not finished is in the account: how its streams end does not matter any more
	eofSeen bool
	hurried bool // asked to go at the deadline while something was leaving

	tunnels []*tunnelPair // whose clients' ends are streams of this connection, until both of their ends are gone
	gone    bool          // closed came, before those were over
	how     engine.End    // how, then
}

// upgradeToH2 makes a connection that speaks HTTP/2 one, with what it has said so far. The old object is
// nobody's role any more.
func (c *httpConn) upgradeToH2(early []byte) {
	l := c.l
	n := &h2Conn{downstream: c.downstream, linger: c.linger}
	c.state = closing
	l.setRole(n.id, n)
	for t := range engine.NumTimers {
		n.half.arm(t, 0)
	}
	n.core = h2.New(l.h2Config(), n)
	n.helloDue = l.now().Add(l.cfg.HeaderTimeout)
	n.schedule(n.helloDue)
	n.born = l.now()
	n.ages()
	n.dirty()
	if len(early) > 0 {
		n.read(early)
	}
}

// h2Config is what the connections of this loop are made with.
func (l *loop) h2Config() h2.Config {
	lim := l.cfg.Limits
	return h2.Config{MaxStreams: uint32(l.cfg.HTTP2.MaxStreams), HeaderList: lim.Head, HeaderFields: fieldLimit(lim.Fields), LowWater: highWater / 2,
		ExtendedConnect: true, Pool: &l.h2Pool}
}

// fieldLimit is the limit of fields for a list that begins with pseudo-fields, which HTTP/1.1 has in its first line; 0 stays the default.
func fieldLimit(n int) int {
	const pseudo = 5 // :method, :scheme, :authority, :path, :protocol
	if n <= 0 {
		return n
	}
	return n + pseudo
}

func (c *h2Conn) received(b []byte) {
	if c.handle != nil {
		c.handle.Bytes(int64(len(b)), 0)
	}
	if !c.closing {
		c.read(b)
	}
}

func (c *h2Conn) read(b []byte) {
	defer func() { c.current = nil }()
	if err := c.core.Receive(b, c.l.now().Sub(c.born)); err != nil {
		c.broken(err.(*h2.ConnError))
		return
	}
	c.dirty()
	switch {
	case !c.core.Partial():
		c.headDue = time.Time{}
	case c.headDue.IsZero() || c.partial != c.core.Begun():
		c.partial = c.core.Begun()
		c.headDue = c.l.now().Add(c.l.cfg.HeaderTimeout)
		c.schedule(c.headDue)
	}
}

// broken ends the connection for what the peer did. A GOAWAY is queued.
func (c *h2Conn) broken(err *h2.ConnError) {
	c.l.stats.h2Errors.count(err.Reason)
	c.decide(drain.Errored)
	c.endStreams()
	c.shut()
}

// endStreams lets go of all streams: the core tells nothing more of them.
func (c *h2Conn) endStreams() {
	c.countUnfinished()
	c.core.Each(func(s *h2.Stream) {
		if st, ok := s.Owner.(*h2Stream); ok && !c.l.attempt(st.release) {
			st.x.wreck() // a panic over one leaves nobody behind it
		}
	})
}

// countUnfinished tells the account, once, how many exchanges end with the connection: those of which not all of the
// response has left.
func (c *h2Conn) countUnfinished() {
	if c.counted || c.handle == nil {
		return
	}
	n := 0
	c.core.Each(func(s *h2.Stream) {
		if st, ok := s.Owner.(*h2Stream); ok && (st.x.running() || !s.Sent()) {
			n++
		}
	})
	c.counted = true
	if !c.l.cfg.Faults.ForgetUnfinished {
		c.handle.Unfinished(n)
	}
}

// dirty has the connection's output sent when the call of the driver ends.
func (c *h2Conn) dirty() {
	if !c.queued {
		c.queued = true
		c.l.unsent = append(c.l.unsent, c)
	}
}

// pieceOut is about how much is handed to the driver at a time.
const pieceOut = 32 << 10

// flush sends what the core has, up to what may wait for one client, and sees what became of the
// connection by that.
func (c *h2Conn) flush() {
	c.queued = false
	if c.closing {
		return
	}
	c.sendQueued()
	if c.eofSeen {
		c.dropBlocked()
	}
	c.settle()
}

func (c *h2Conn) sendQueued() {
	l := c.l
	for c.core.Wants() && !c.half.full() {
		l.out = c.core.Append(l.out[:0], pieceOut)
		n, whole := h2.Trailing(l.out)
		if !whole {
			c.trailing = 0
		}
		c.trailing += int64(n)
		c.sendOut(l.out)
	}
}

// dropBlocked ends the streams of a client that has closed its half and left no window: it cannot give any more.
func (c *h2Conn) dropBlocked() {
	c.core.Each(func(s *h2.Stream) {
		if st, ok := s.Owner.(*h2Stream); ok && s.Blocked() {
			st.drop(errClientTruncated)
		}
	})
}

// busy reports whether anything is under way.
func (c *h2Conn) busy() bool {
	return c.core.Streams() > 0 || len(c.tunnels) > 0 || c.l.sh.Queued(c.id) > 0
}

// settle tells the account whether anything is under way, and closes what has said its last.
func (c *h2Conn) settle() {
	l := c.l
	busy := c.busy()
	if c.handle != nil && !busy && c.active { // before it may end: what was answered counts as such, whoever left first
		c.active = false
		c.handle.Idle()
	}
	switch {
	case busy:
		c.idleDue = time.Time{}
	case c.core.Left() && !c.core.Wants():
		c.decide(drain.Completed)
		c.shut()
		return
	case c.idleDue.IsZero():
		c.idleDue = l.now().Add(l.cfg.IdleTimeout)
		c.schedule(c.idleDue)
	}
}

func (c *h2Conn) sent() {
	c.flushed()
	c.dirty()
}

// eof: the client sends nothing more. It may still want what it asked for.
func (c *h2Conn) eof() {
	c.eofSeen = true
	c.core.Each(func(s *h2.Stream) {
		if st, ok := s.Owner.(*h2Stream); ok && !s.Received() {
			st.cutShort()
		}
	})
	c.decide(drain.ClientClosed)
	c.core.Leave()
	c.dirty()
}

func (c *h2Conn) fired(t engine.Timer) {
	switch t {
	case engine.TimerWrite:
		if c.stalled(c.l.leastTaken()) {
			c.l.stats.slow.Add(1)
			c.decide(drain.Errored)
			c.giveUp(errStalledClient)
		}
	case engine.TimerState:
		c.alarm = time.Time{}
		c.due()
	case engine.TimerRead:
	}
}

// giveUp ends all streams and the connection, which takes nothing any more.
func (c *h2Conn) giveUp(err error) {
	c.countUnfinished()
	c.core.Each(func(s *h2.Stream) {
		if st, ok := s.Owner.(*h2Stream); ok {
			st.drop(err)
		}
	})
	c.shut()
}

// shut closes in good order, behind what the core has left to say.
func (c *h2Conn) shut() {
	if c.closing {
		return
	}
	c.core.Leave()
	c.sendQueued()
	c.closing = true
	c.l.sh.Close(c.id, c.linger)
}

func (c *h2Conn) abort() {
	if !c.closing {
		c.closing = true
		c.l.sh.Abort(c.id)
	}
}

func (c *h2Conn) closed(end engine.End) {
	c.closing = true
	end.Unsent -= min(end.Unsent, c.trailing) // a goodbye that was not waited for is nobody's loss
	defer func() {                            // even if the walk panics
		c.core.Release()
		if len(c.tunnels) > 0 {
			c.outlived(end)
			return
		}
		c.settleAccount(end, c.hurried)
	}()
	c.endStreams()
}

// answer implements role: what an authenticator or a site says, for the stream that asked.
func (c *h2Conn) answer(v any) {
	switch v := v.(type) {
	case stageAnswer:
		if st := c.stream(v.seq); st != nil {
			c.current = st
			st.x.answerStage(v)
			c.current = nil
		}
	case siteAnswer:
		if st := c.stream(v.seq); st != nil {
			c.current = st
			st.x.answerSite(v)
			c.current = nil
		}
	}
}

// stream finds the stream whose exchange has that number; nil: it is over.
func (c *h2Conn) stream(seq uint32) (found *h2Stream) {
	c.core.Each(func(s *h2.Stream) {
		if st, ok := s.Owner.(*h2Stream); ok && st.x != nil && st.x.seq == seq {
			found = st
		}
	})
	return found
}

// waiting is the exchange that waits as seq for a connection of a cluster.
func (c *h2Conn) waiting(seq uint64) pending {
	if st := c.stream(uint32(seq >> 32)); st != nil && st.x.waitsAs(seq) {
		return st.x
	}
	return nil // not a nil *exchange
}

func (c *h2Conn) dialed(error)      {}
func (c *h2Conn) moved(int64, bool) {}

// admitLate gives a handle to a connection that came before the policy was in force.
func (c *h2Conn) admitLate() {
	if c.closing || c.admit() != nil {
		return
	}
	c.l.unadmitted.done()
	c.active = false // its account has yet to hear of what runs
	if c.core.Streams() > 0 {
		c.begins()
	}
}

// begins notes in the account that one more exchange runs. The account is idle only once what
// was sent has left, so the one before may have ended and still count as the one that runs.
func (c *h2Conn) begins() {
	if c.handle != nil {
		if c.active && c.core.Streams() == 1 {
			c.handle.Another()
		}
		c.handle.Active()
	}
	c.active = true
}
