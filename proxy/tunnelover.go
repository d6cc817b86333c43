package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/tunnel"
)

// How a tunnel ends that may not go on: a WebSocket by a Close to both sides, any other by a reset.

// How long the goodbye to a WebSocket may take: one that may not go on stops at the next boundary of its frames, and is reset
// where none comes. One that is too old is left to its peers as in a drain, where nothing is to be lost.
const (
	dismissal = 500 * time.Millisecond
	oldFriend = time.Second
)

// opens makes a tunnel an open stream; o is what is known of it, but for its beginning.
func (p *tunnelPair) opens(o liveStream) {
	p.live = liveStream{p: p, identity: o.identity, snap: o.snap, asked: o.asked, began: p.l.now(), maxAge: o.maxAge}
	p.l.join(&p.live)
}

// living is an end that is not gone.
func (p *tunnelPair) living() *tunnelEnd {
	if down := p.ends[tunnel.Downstream]; !down.gone {
		return down
	}
	return p.ends[tunnel.Upstream]
}

// endFor ends a tunnel that may not go on.
func (p *tunnelPair) endFor(why streamEnd) {
	l, w := p.l, p.bye
	l.trip(p.ends[tunnel.Downstream].conn())
	if p.t.State() == tunnel.Finished { // it is over, and its ends are about to go
		return
	}
	p.barredFor = why
	l.stats.ended[why].Add(1)
	switch {
	case w == nil:
		p.do(p.t.Evict())
	case why == streamTooOld && w.begin(oldFriend):
	case why != streamTooOld && w.dismiss():
	default: // nobody can be told
		p.do(p.t.Evict())
	}
}

// dismiss tells both sides, each as soon as it can be told; what they still send is dropped. False: they cannot be told.
func (w *farewell) dismiss() bool {
	p := w.p
	if w.s.Lost() || p.ends[tunnel.Downstream].gone || p.ends[tunnel.Upstream].gone {
		return false
	}
	for _, end := range p.ends {
		end.arm(engine.TimerWrite, dismissal)
	}
	w.s.Begin()
	w.s.Late()
	w.proceed()
	return true
}
