package sim

import (
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// shard implements engine.Shard.
type shard struct {
	d     *Driver
	n     *Net
	index int
	h     engine.Handler
	conns []*conn
	gens  []int
	free  []int
	down  bool
	asked int
}

func (s *shard) alloc() *conn {
	var slot int
	if k := len(s.free); k > 0 {
		slot, s.free = s.free[k-1], s.free[:k-1]
	} else {
		slot = len(s.conns)
		s.conns, s.gens = append(s.conns, nil), append(s.gens, 0)
	}
	s.gens[slot] = engine.NextGen(s.gens[slot])
	c := &conn{s: s, id: engine.MakeConnID(s.index, s.gens[slot], slot)}
	s.conns[slot] = c
	return c
}

func (s *shard) conn(id engine.ConnID) *conn {
	if id.Slot() >= len(s.conns) {
		return nil
	}
	if c := s.conns[id.Slot()]; c != nil && c.id == id {
		return c
	}
	return nil
}

// Index implements engine.Shard.
func (s *shard) Index() int { return s.index }

// Now implements engine.Shard.
func (s *shard) Now() time.Time { return s.n.now }

// Dial implements engine.Shard.
func (s *shard) Dial(addr string, timeout time.Duration) engine.ConnID {
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	c := s.alloc()
	if s.d.closed {
		c.abort()
		return c.id
	}
	over := false
	var sock *Sock
	result := func(err error) {
		if over {
			return // the other of the two came first
		}
		over = true
		if !c.live() {
			sock.Close() // given up while it was being made
			return
		}
		if err != nil {
			sock.Close()
			slot := c.id.Slot()
			s.conns[slot] = nil
			s.free = append(s.free, slot)
			s.h.Dialed(c.id, err)
			return
		}
		c.attach(sock)
		s.h.Dialed(c.id, nil)
	}
	sock = s.n.Dial(addr, Events{Connected: result})
	s.n.After(timeout, func() { result(ErrTimeout) })
	return c.id
}

// Send implements engine.Shard.
func (s *shard) Send(id engine.ConnID, b []byte) {
	c := s.conn(id)
	if c == nil || len(b) == 0 {
		return
	}
	if c.finSent || c.asked {
		panic("BUG: Send after CloseWrite or Close")
	}
	if !c.closing {
		c.owed = true
		c.sock.Write(b)
	}
}

// Queued implements engine.Shard.
func (s *shard) Queued(id engine.ConnID) int {
	if c := s.conn(id); c != nil && c.sock != nil {
		return c.sock.Queued()
	}
	return 0
}

// Check implements engine.Shard. The peer's kernel is there as long as the simulation is.
func (s *shard) Check(id engine.ConnID, _ time.Duration) (v engine.Vital, ok bool) {
	c := s.conn(id)
	if c == nil || c.sock == nil {
		return v, false
	}
	return engine.Vital{Acked: c.sock.Acked(), Pending: int64(c.sock.Unacked())}, true
}

// Unread implements engine.Shard.
func (s *shard) Unread(id engine.ConnID) bool {
	c := s.conn(id)
	return c != nil && c.sock != nil && c.sock.Unread() > 0
}

// Acked implements engine.Shard.
func (s *shard) Acked(id engine.ConnID) int64 {
	if c := s.conn(id); c != nil && c.sock != nil {
		return c.sock.Acked()
	}
	return -1
}

// Pause implements engine.Shard.
func (s *shard) Pause(id engine.ConnID) {
	if c := s.conn(id); c != nil {
		c.paused = true
		c.applyPause()
	}
}

// Resume implements engine.Shard.
func (s *shard) Resume(id engine.ConnID) {
	if c := s.conn(id); c != nil && c.paused {
		c.paused = false
		c.applyPause()
		c.tellLateEOF()
	}
}

// CloseWrite implements engine.Shard.
func (s *shard) CloseWrite(id engine.ConnID) {
	if c := s.conn(id); c != nil && !c.closing && !c.finSent {
		c.finSent = true
		c.sock.CloseWrite()
		s.n.After(0, c.bothDone)
	}
}

// Close implements engine.Shard.
func (s *shard) Close(id engine.ConnID, linger time.Duration) {
	c := s.conn(id)
	if c == nil || c.closing {
		return
	}
	c.closing, c.asked = true, true
	for i := range c.stops {
		c.disarm(i)
	}
	if s.d.Faults.NoLinger {
		linger = 0
	}
	c.linger = linger
	c.endMoves()
	if c.sock == nil { // still dialing
		s.n.After(0, func() {
			if c.live() {
				c.end(nil)
			}
		})
		return
	}
	c.sock.CloseWrite()
	c.sock.Resume()
	s.n.After(max(linger, time.Millisecond), c.lingered)
	c.flushed()
}

// Abort implements engine.Shard.
func (s *shard) Abort(id engine.ConnID) {
	if c := s.conn(id); c != nil {
		c.asked = true
		c.abort()
	}
}

// Arm implements engine.Shard.
func (s *shard) Arm(id engine.ConnID, t engine.Timer, d time.Duration) {
	c := s.conn(id)
	if c == nil {
		return
	}
	c.disarm(int(t))
	if d <= 0 || c.closing {
		return
	}
	c.stops[t] = s.n.After(d, func() {
		c.stops[t] = nil
		if c.live() && !c.closing {
			s.h.Fired(c.id, t)
		}
	})
}

// maxAsked is the bounded worker set of the simulated shard.
const maxAsked = 64

// Ask implements engine.Shard: the function runs when its answer is due.
func (s *shard) Ask(id engine.ConnID, fn func() any) bool {
	c := s.conn(id)
	if c == nil || c.closing || s.asked >= maxAsked {
		return false
	}
	s.asked++
	s.n.After(s.n.delay()*3, func() {
		s.asked--
		v := fn()
		if c.live() && !c.closing {
			s.h.Answer(c.id, v)
		}
	})
	return true
}
