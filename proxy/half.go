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

	queued  int64 // bytes given to Send, ever
	mark    int64 // bytes that had left when the stall timer was armed
	writing bool  // the stall timer is armed
}

func (h *half) send(b []byte) {
	if len(b) == 0 {
		return
	}
	h.l.sh.Send(h.id, b)
	h.queued += int64(len(b))
	if !h.writing && h.l.cfg.WriteTimeout > 0 {
		h.writing = true
		h.mark = h.left()
		h.l.sh.Arm(h.id, engine.TimerWrite, h.l.cfg.WriteTimeout)
	}
}

// left is how many bytes the kernel has taken.
func (h *half) left() int64 { return h.queued - int64(h.l.sh.Queued(h.id)) }

// full reports whether the source of what is sent here should wait.
func (h *half) full() bool { return h.l.sh.Queued(h.id) > highWater }

// flushed is to be called by sent.
func (h *half) flushed() {
	if h.writing {
		h.writing = false
		h.l.sh.Arm(h.id, engine.TimerWrite, 0)
	}
}

// stalled is to be called when TimerWrite fired: true if not one byte has left since
// it was armed. A queue that never empties but moves is not stalled.
func (h *half) stalled() bool {
	h.writing = false
	if h.l.sh.Queued(h.id) == 0 {
		return false
	}
	if left := h.left(); left > h.mark {
		h.mark, h.writing = left, true
		h.l.sh.Arm(h.id, engine.TimerWrite, h.l.cfg.WriteTimeout)
		return false
	}
	return true
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
