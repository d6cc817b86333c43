package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

const (
	// highWater is how much may wait to be sent to one side before its source is paused.
	highWater = 64 << 10
)

// Reasons for which reading from a connection is paused; it reads when there is none.
const (
	pauseHeld     = 1 << iota // input waits behind the running exchange
	pausePressure             // the other side is slow
	pauseConnect              // the other side is not there yet
)

// half is what every kind of connection shares: sending with a stall timer, and
// pausing for more than one reason.
type half struct {
	l      *loop
	id     engine.ConnID
	paused uint8

	queued int64 // bytes given to Send, ever
	mark   int64 // what the peer had when its window began
	watch  watch // of the peer
	filled bool  // a Move fills the queue: no Send says when something waits, and no Sent when nothing does
}

// watch is how far a peer that is sent to is watched. Between us and it are buffers of
// megabytes, so what counts is what its kernel has acknowledged; that costs a system call,
// so the first look is only taken when something has waited to be sent for a while.
type watch uint8

const (
	unwatched watch = iota // nothing waits to be sent
	glanced                // something does; the stall timer is armed for the first look
	judged                 // mark is set; the stall timer ends the window
)

func (h *half) conn() engine.ConnID { return h.id }

func (h *half) send(b []byte) {
	if len(b) == 0 {
		return
	}
	h.l.sh.Send(h.id, b)
	h.queued += int64(len(b))
	h.watchStall()
}

// watchStall begins to watch the peer, unless that is done already.
func (h *half) watchStall() {
	if h.watch == unwatched && h.l.cfg.WriteTimeout > 0 {
		h.watch = glanced
		h.arm(engine.TimerWrite, h.l.cfg.WriteTimeout/4)
	}
}

// left is how many bytes the peer has or, where that cannot be known, the kernel.
func (h *half) left() int64 {
	if n := h.l.sh.Acked(h.id); n >= 0 {
		return n
	}
	return h.queued - int64(h.l.sh.Queued(h.id))
}

// full reports whether the source of what is sent here should wait.
func (h *half) full() bool { return h.l.sh.Queued(h.id) > highWater }

// flushed is to be called by sent.
func (h *half) flushed() {
	if h.watch != unwatched && !h.filled {
		h.watch = unwatched
		h.arm(engine.TimerWrite, 0)
	}
}

// stalled is to be called when TimerWrite fired: true if for a whole WriteTimeout something
// waited to be sent, and the peer took fewer than least bytes. It is noticed within
// 1.25 times that.
func (h *half) stalled(least int64) bool {
	if h.l.sh.Queued(h.id) == 0 {
		h.watch = unwatched
		if h.filled {
			h.watchStall()
		}
		return false
	}
	left := h.left()
	if h.watch == judged && left-h.mark < least {
		return true
	}
	h.watch, h.mark = judged, left
	h.arm(engine.TimerWrite, h.l.cfg.WriteTimeout)
	return false
}

func (h *half) pause(why uint8) {
	if h.paused == 0 {
		h.l.sh.Pause(h.id)
	}
	h.paused |= why
}

func (h *half) resume(why uint8) {
	if h.paused&why == 0 {
		return
	}
	h.paused &^= why
	if h.paused == 0 {
		h.l.sh.Resume(h.id)
	}
}

func (h *half) arm(t engine.Timer, d time.Duration) { h.l.sh.Arm(h.id, t, d) }
