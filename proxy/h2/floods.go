package h2

import "time"

// bucket is a token bucket in thousandths of a token, so that short times count as well.
type bucket struct{ level int64 }

const milli = 1000

func (b *bucket) fill(cfg Budget) { b.level = int64(cfg.Burst) * milli }

func (b *bucket) earn(cfg Budget, tokens int) {
	b.level = min(b.level+int64(tokens)*milli, int64(cfg.Burst)*milli)
}

func (b *bucket) refill(cfg Budget, dt time.Duration) {
	b.level = min(b.level+dt.Milliseconds()*int64(cfg.PerSecond), int64(cfg.Burst)*milli)
}

// take reports whether the tokens were there.
func (b *bucket) take(cfg Budget, tokens int) bool {
	if cfg.Burst < 0 {
		return true
	}
	b.level -= int64(tokens) * milli
	return b.level >= 0
}

// rapid is the age below which a cancelled request counts against the budget.
const rapid = 100 * time.Millisecond

// refill gives back what time gives. now is any clock that does not go back.
func (c *Conn) refill(now time.Duration) {
	c.now = now
	if !c.clocked {
		c.clocked, c.refilled = true, now
		return
	}
	dt := min(now-c.refilled, time.Hour)
	if dt < time.Millisecond {
		return
	}
	c.refilled = now
	f := &c.cfg.Floods
	c.control.refill(f.Control, dt)
	c.resets.refill(f.Resets, dt)
	c.dribble.refill(f.Dribble, dt)
}

// charge takes tokens for frames without work. It reports whether the connection lives on.
func (c *Conn) charge(tokens int) bool {
	if c.control.take(c.cfg.Floods.Control, tokens) {
		return true
	}
	c.fail(EnhanceYourCalm, FloodControl, "too many control frames for the work done")
	return false
}

// chargeReset takes a token for a request that ended in a reset. What a server resets costs a
// client nothing but the request, so there it is free.
func (c *Conn) chargeReset() bool {
	if c.cfg.Client || c.resets.take(c.cfg.Floods.Resets, 1) {
		return true
	}
	c.fail(EnhanceYourCalm, FloodResets, "too many requests end in a reset")
	return false
}

// Frames of fewer bytes are charged, and those of fewer than any message of gRPC has dearer.
const (
	smallData = 64
	tinyData  = 5
	tinyCost  = 50
)

// chargeData takes tokens for a frame of n bytes that does not end its stream.
func (c *Conn) chargeData(n int) bool {
	cost := 0
	switch {
	case n < tinyData:
		cost = tinyCost
	case n < smallData:
		cost = 1
	}
	if cost == 0 || c.dribble.take(c.cfg.Floods.Dribble, cost) {
		return true
	}
	c.fail(EnhanceYourCalm, FloodDribble, "too many tiny frames of data")
	return false
}

// earnData gives back what a frame of DATA that we sent is worth: the peer may acknowledge it with
// updates of two windows and a PING. A frame that a tiny window cut short is worth nothing, or who hands
// out windows byte by byte would pay for one update with the last.
func (c *Conn) earnData(n int, cut bool) {
	if cut && n < smallest {
		return
	}
	c.control.earn(c.cfg.Floods.Control, 3)
	c.dribble.earn(c.cfg.Floods.Dribble, 1)
}

// earnStream gives back what a request that ended well is worth: browsers send PRIORITY and
// WINDOW_UPDATE with each.
func (c *Conn) earnStream() {
	c.control.earn(c.cfg.Floods.Control, 4)
	c.resets.earn(c.cfg.Floods.Resets, 1)
}

// owe counts n bytes of an answer that the peer provoked. A peer that provokes them and reads none
// could fill our memory.
func (c *Conn) owe(n int) {
	c.owed += n
	if c.owed > maxOwed && c.err == nil {
		c.fail(EnhanceYourCalm, Unread, "the peer provokes answers and does not read them")
	}
}
