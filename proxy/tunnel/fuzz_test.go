package tunnel

import (
	stdbytes "bytes"
	"testing"
	"time"
)

// pipe is one connection of the model driver, byte for byte.
type pipe struct {
	sent   []byte // what arrived from it, in order
	queue  []byte // our send queue towards it
	got    []byte // what its kernel took
	fin    bool   // CloseWrite was asked for
	gotFin bool   // ... and is behind every byte of got
	paused bool
	ended  bool // it sent EOF
	closed bool
}

// world drives a Tunnel as a driver would and checks every promise of the package.
type world struct {
	t        *testing.T
	m        Tunnel
	now      time.Time
	pipes    [2]pipe
	finished *Outcome
	next     byte // payload: a running number, so that any loss or swap shows
	armed    time.Duration
}

const (
	high  = 64
	piece = 16 // most bytes of one arrival
)

func (w *world) do(acts Actions) {
	for a := range acts.All() {
		if w.finished != nil {
			w.t.Fatalf("%v after finish", a)
		}
		p := &w.pipes[a.Side]
		switch a.Op {
		case CloseWrite:
			if p.fin || p.closed {
				w.t.Fatalf("close_write %s twice or to a closed side", a.Side)
			}
			p.fin = true
			p.gotFin = len(p.queue) == 0
		case Pause:
			if p.paused || p.ended {
				w.t.Fatalf("pause %s in vain", a.Side)
			}
			p.paused = true
		case Resume:
			if !p.paused || p.closed {
				w.t.Fatalf("resume %s in vain", a.Side)
			}
			p.paused = false
		case Arm:
			w.armed = a.After
		case Finish:
			w.finished = &a.Outcome
		}
	}
	w.check()
}

func (w *world) check() {
	for side := range w.pipes {
		to, from := &w.pipes[side], &w.pipes[1-side]
		all := append(stdbytes.Clone(to.got), to.queue...)
		if !to.closed && !from.closed && !stdbytes.Equal(all, from.sent) {
			w.t.Fatalf("towards %s: %v of %v", Side(side), all, from.sent)
		}
		if !stdbytes.HasPrefix(from.sent, to.got) {
			w.t.Fatalf("towards %s: %v is not a beginning of %v", Side(side), to.got, from.sent)
		}
		if to.gotFin && !stdbytes.Equal(to.got, from.sent) {
			w.t.Fatalf("FIN to %s before the last byte", Side(side))
		}
		if to.fin && !from.ended {
			w.t.Fatalf("FIN to %s, but nobody ended", Side(side))
		}
		if len(to.queue) >= high+piece {
			w.t.Fatalf("queue of %d", len(to.queue))
		}
		if from.paused && !from.ended && !from.closed && !to.closed && w.finished == nil && len(to.queue) == 0 {
			w.t.Fatalf("%s paused for an empty queue: stuck", Side(1-side))
		}
	}
	if w.finished == nil {
		return
	}
	switch o := *w.finished; o.Cause {
	case Completed:
		for side := range w.pipes {
			to, from := &w.pipes[side], &w.pipes[1-side]
			if !from.ended || !to.fin || !stdbytes.Equal(to.got, from.sent) {
				w.t.Fatalf("completed, but towards %s: %v of %v", Side(side), to.got, from.sent)
			}
		}
	case Broken:
		if !w.pipes[o.Side].closed {
			w.t.Fatalf("broken by %s, which is there", o.Side)
		}
		if to := &w.pipes[o.Side.Other()]; !to.closed && len(to.queue) > 0 {
			w.t.Fatalf("broken with %d bytes still to deliver", len(to.queue))
		}
	case Idle, TimedOut, Cut: // may come at any moment
	}
}

// event does one thing that a driver may do in this state.
func (w *world) event(code, arg byte) {
	side := Side(code & 1)
	p, other := &w.pipes[side], &w.pipes[side.Other()]
	switch code >> 1 % 8 {
	case 0, 1:
		if p.paused || p.ended || p.closed {
			return
		}
		n := 1 + int(arg)%piece
		for range n {
			w.next++
			p.sent = append(p.sent, w.next)
			if !other.closed {
				other.queue = append(other.queue, w.next)
			}
		}
		if len(other.queue) <= piece && arg&0x80 != 0 { // the kernel took it at once
			w.take(side.Other(), len(other.queue))
		}
		w.do(w.m.Bytes(side, n, len(other.queue), w.now))
	case 2, 3:
		if p.closed || len(p.queue) == 0 {
			return
		}
		w.take(side, 1+int(arg)%len(p.queue))
		if len(p.queue) == 0 || arg&0x80 != 0 {
			w.do(w.m.Drained(side, len(p.queue), w.now))
		}
	case 4:
		if p.paused || p.ended || p.closed {
			return
		}
		p.ended = true
		w.do(w.m.EOF(side, w.now))
	case 5:
		if p.closed || arg > 32 {
			return
		}
		p.closed = true
		p.queue = nil
		w.do(w.m.Closed(side, errReset, w.now))
	case 6:
		if p.closed || !p.ended || !p.gotFin {
			return
		}
		p.closed = true
		w.do(w.m.Closed(side, nil, w.now))
	case 7:
		w.now = w.now.Add(time.Duration(arg) * time.Millisecond)
		w.do(w.m.Timer(w.now, [2]int{len(w.pipes[0].queue), len(w.pipes[1].queue)}))
	}
}

func (w *world) take(side Side, n int) {
	p := &w.pipes[side]
	p.got = append(p.got, p.queue[:n]...)
	p.queue = p.queue[n:]
	p.gotFin = p.fin && len(p.queue) == 0
}

// settle lets everything that is still open come to its end: both sides take their
// bytes and end. It must finish.
func (w *world) settle() {
	for range 8 {
		for side := range w.pipes {
			if w.finished == nil {
				w.event(4<<1|byte(side), 0)
			}
			if p := &w.pipes[side]; w.finished == nil && len(p.queue) > 0 {
				w.take(Side(side), len(p.queue))
				w.do(w.m.Drained(Side(side), 0, w.now))
			}
		}
	}
	if w.finished == nil {
		w.t.Fatalf("does not finish: %s %+v", w.m.State(), w.pipes)
	}
}

// Random orders of everything a driver may report, against a byte-accurate model:
// what one side sent arrives before its end is passed on, queues stay bounded, nothing
// is stuck, and every tunnel finishes once.
func FuzzEventOrders(f *testing.F) {
	f.Add([]byte{0, 5, 1, 9, 8, 0, 9, 0})                      // bytes both ways, both end
	f.Add([]byte{0, 15, 0, 15, 0, 15, 0, 15, 0, 15, 5, 0x7f})  // pause, drain
	f.Add([]byte{1, 9, 11, 0, 4, 3, 4, 3, 4, 3, 0, 1, 14, 99}) // reset with bytes queued
	f.Add([]byte{8, 0, 9, 0, 12, 0, 13, 0, 14, 255})
	f.Fuzz(func(t *testing.T, script []byte) {
		w := &world{t: t, now: begin}
		w.do(w.m.Start(Config{Idle: 500 * time.Millisecond, HalfOpen: 200 * time.Millisecond, High: high, Low: 8}, w.now))
		for i := 0; i+1 < len(script) && w.finished == nil && i < 2000; i += 2 {
			w.event(script[i], script[i+1])
		}
		if w.finished == nil {
			w.settle()
		}
		for side := range w.pipes {
			if got, want := w.m.Received(Side(side)), int64(len(w.pipes[side].sent)); got != want {
				t.Errorf("%s: %d bytes counted, %d came", Side(side), got, want)
			}
		}
		w.do(w.m.Evict())
		w.do(w.m.Timer(w.now.Add(time.Hour), [2]int{}))
	})
}
