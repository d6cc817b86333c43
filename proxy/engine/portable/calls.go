package portable

import (
	"context"
	"net"
	"time"

	"github.com/sluiceproxy/sluice/internal/synshed"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// What a handler may ask of its shard (engine.Shard). All of it runs under s.mu.

// Index implements engine.Shard.
func (s *shard) Index() int { return s.index }

// Now implements engine.Shard.
func (s *shard) Now() time.Time { return s.now }

// Dial implements engine.Shard.
func (s *shard) Dial(addr string, timeout time.Duration) engine.ConnID {
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	c := s.alloc()
	ctx, cancel := context.WithTimeout(s.d.ctx, timeout)
	c.cancelDial = cancel
	s.d.wg.Add(1)
	go s.dial(ctx, c, addr) // ends with the timeout at the latest
	return c.id
}

func (s *shard) dial(ctx context.Context, c *conn, addr string) {
	defer s.d.wg.Done()
	nc, err := s.d.cfg.Dial(ctx, "tcp", addr)
	s.enter()
	defer s.leave()
	c.cancelDial()
	c.cancelDial = nil
	if err == nil && (c.closing || s.closed) {
		nc.Close()
		nc = nil
	}
	switch {
	case c.closing || s.closed: // the handler gave up meanwhile, or the driver
		if !c.closing {
			c.broken = net.ErrClosed
		}
		s.forget(c)
		s.h.Closed(c.id, engine.End{Err: c.broken, Unsent: c.queued()})
	case err != nil:
		s.forget(c)
		s.h.Dialed(c.id, err)
	default:
		c.nc = nc
		s.h.Dialed(c.id, nil)
		s.run(c)
	}
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
	if c.closing || c.writeErr != nil || c.broken != nil {
		c.lost += int64(len(b)) // Closed is on its way
		return
	}
	c.out = append(c.out, b...)
	c.writable.Signal()
}

// Queued implements engine.Shard.
func (s *shard) Queued(id engine.ConnID) int {
	if c := s.conn(id); c != nil {
		return int(c.queued())
	}
	return 0
}

// Unread implements engine.Shard.
func (s *shard) Unread(id engine.ConnID) bool {
	c := s.conn(id)
	return c != nil && c.more && unread(c.nc) > 0
}

// Acked implements engine.Shard.
func (s *shard) Acked(id engine.ConnID) int64 {
	if c := s.conn(id); c != nil && c.nc != nil {
		if raw := rawConn(c.nc); raw != nil {
			return synshed.Acked(raw)
		}
	}
	return -1
}

// Check implements engine.Shard.
func (s *shard) Check(id engine.ConnID, probe time.Duration) (v engine.Vital, ok bool) {
	c := s.conn(id)
	if c == nil || c.nc == nil {
		return v, false
	}
	if v, ok = vital(c.nc, probe); ok {
		v.Pending += c.queued()
	}
	return v, ok
}

// Pause implements engine.Shard.
func (s *shard) Pause(id engine.ConnID) {
	if c := s.conn(id); c != nil {
		c.paused = true
		if c.writeErr != nil { // nothing can come of it any more
			c.fail(c.writeErr)
		}
	}
}

// Resume implements engine.Shard.
func (s *shard) Resume(id engine.ConnID) {
	if c := s.conn(id); c != nil && c.paused {
		c.paused = false
		c.readable.Signal()
	}
}

// Move implements engine.Shard: not supported.
func (s *shard) Move(_, _ engine.ConnID, _ int64) bool { return false }

// CloseWrite implements engine.Shard.
func (s *shard) CloseWrite(id engine.ConnID) {
	if c := s.conn(id); c != nil && !c.closing {
		c.finSent = true
		c.writable.Signal()
	}
}

// Close implements engine.Shard.
func (s *shard) Close(id engine.ConnID, linger time.Duration) {
	if c := s.conn(id); c != nil && !c.closing {
		c.asked = true
		c.close(linger)
	}
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
	if d <= 0 || c.closing {
		s.timers.Disarm(&c.timers[t])
		return
	}
	s.timers.Arm(&c.timers[t], s.now, d)
	if s.sleep.IsZero() || s.now.Add(d).Before(s.sleep) {
		s.early = true
	}
}

// Ask implements engine.Shard.
func (s *shard) Ask(id engine.ConnID, fn func() any) bool {
	c := s.conn(id)
	if c == nil || c.closing {
		return false
	}
	select {
	case s.workers <- struct{}{}:
	default:
		return false
	}
	s.d.wg.Add(1)
	go s.answer(c, fn) // bounded in time by fn itself
	return true
}

func (s *shard) answer(c *conn, fn func() any) {
	defer s.d.wg.Done()
	v := fn()
	<-s.workers
	s.enter()
	defer s.leave()
	if s.conn(c.id) == c && !c.closing {
		s.h.Answer(c.id, v)
	}
}
