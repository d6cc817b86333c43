package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Minimum rates: without them a client may hold a connection, an upstream connection and
// their buffers for as long as it likes, at the price of a byte a minute. Only time in which
// nobody but the client was waited for counts.

// rateWindow is the time over which the rate of a request body is averaged.
const rateWindow = 30 * time.Second

// leastTaken is how much of a response a client has to take in a WriteTimeout.
func (l *loop) leastTaken() int64 {
	if l.cfg.Faults.IgnoreTakeRate {
		return 1
	}
	return max(1, int64(float64(l.cfg.MinRate)*l.cfg.WriteTimeout.Seconds()))
}

// rateBegins starts a window for the request body. TimerState is free meanwhile: the wait for
// the response begins when the request was sent.
func (x *exchange) rateBegins() {
	if x.l.cfg.MinRate > 0 && !x.reqDone && !x.headSent {
		x.rateMark, x.pressed = x.bytesIn, false
		x.c.arm(engine.TimerState, rateWindow)
	}
}

// rateEnds judges the window that is over.
func (x *exchange) rateEnds() {
	least := int64(x.l.cfg.MinRate) * int64(rateWindow/time.Second)
	// Whoever was held back by the upstream, or waits for its 100, is not slow.
	waits := x.pressed || x.c.bodyHeld() || x.awaitsContinue() || x.up == nil || x.up.queued() > 0
	if waits || x.bytesIn-x.rateMark >= least || x.l.cfg.Faults.IgnoreBodyRate {
		x.rateBegins()
		return
	}
	x.l.stats.slow.Add(1)
	x.failRequest(response{status: 408, reason: "body_rate", text: "the request body came too slowly (limits.min_rate)", close: true}, errClientTruncated)
}

// awaitsContinue: the client sends no body before it has a 100, and none came yet.
func (x *exchange) awaitsContinue() bool {
	return x.expect && !x.bodyBegun && x.interim == 0
}
