package enginetest

import (
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// watchedShard is what the handler sees: each call is judged, then passed on. What a
// call with a dead ID must do, nothing, is judged by its answer and by what comes of it.
type watchedShard struct{ w *watch }

// asked opens a call of the handler: its account, nil if the ID is dead.
func (s watchedShard) asked(call string, id engine.ConnID) *account {
	if s.w.busy == "" {
		s.w.fault("the handler calls %s outside of a handler call", call)
	}
	return s.w.conns[id]
}

// Index implements engine.Shard.
func (s watchedShard) Index() int { return s.w.sh.Index() }

// Now implements engine.Shard.
func (s watchedShard) Now() time.Time { return s.w.sh.Now() }

// Dial implements engine.Shard.
func (s watchedShard) Dial(addr string, timeout time.Duration) engine.ConnID {
	s.asked("Dial", 0)
	id := s.w.sh.Dial(addr, timeout)
	s.w.add(id, dialing)
	return id
}

// Send implements engine.Shard. The driver gets a copy that is spoiled as soon as it
// returns: it must have made its own.
func (s watchedShard) Send(id engine.ConnID, b []byte) {
	if a := s.asked("Send", id); a != nil && len(b) > 0 {
		if a.phase == dialing {
			s.w.fault("the handler sends on %#x before Dialed", id)
		}
		if a.filling != 0 && a.phase == open {
			s.w.fault("the handler sends on %#x while a Move fills it", id)
		}
		a.owed = true
	}
	s.w.put = append(s.w.put[:0], b...)
	s.w.sh.Send(id, s.w.put)
	spoil(s.w.put)
}

// Queued implements engine.Shard.
func (s watchedShard) Queued(id engine.ConnID) int {
	a, n := s.asked("Queued", id), s.w.sh.Queued(id)
	if n < 0 || a == nil && n != 0 || a != nil && a.phase == open && !a.owed && a.filling == 0 && n != 0 {
		s.w.fault("Queued(%#x) = %d, live: %v", id, n, a != nil)
	}
	return n
}

// Unread implements engine.Shard.
func (s watchedShard) Unread(id engine.ConnID) bool {
	a, more := s.asked("Unread", id), s.w.sh.Unread(id)
	if a == nil && more {
		s.w.fault("Unread(%#x) of a dead ID", id)
	}
	return more
}

// Acked implements engine.Shard.
func (s watchedShard) Acked(id engine.ConnID) int64 {
	a, n := s.asked("Acked", id), s.w.sh.Acked(id)
	if n < -1 || a == nil && n != -1 {
		s.w.fault("Acked(%#x) = %d, live: %v", id, n, a != nil)
	}
	return n
}

// Check implements engine.Shard.
func (s watchedShard) Check(id engine.ConnID, probe time.Duration) (engine.Vital, bool) {
	a := s.asked("Check", id)
	v, ok := s.w.sh.Check(id, probe)
	if ok && (a == nil || v.Acked < 0 || v.Pending < 0 || v.Heard < 0) {
		s.w.fault("Check(%#x) = %+v, live: %v", id, v, a != nil)
	}
	return v, ok
}

// Pause implements engine.Shard.
func (s watchedShard) Pause(id engine.ConnID) {
	if a := s.asked("Pause", id); a != nil {
		a.paused = true
	}
	s.w.sh.Pause(id)
}

// Resume implements engine.Shard.
func (s watchedShard) Resume(id engine.ConnID) {
	if a := s.asked("Resume", id); a != nil {
		a.paused = false
	}
	s.w.sh.Resume(id)
}

// Move implements engine.Shard.
func (s watchedShard) Move(dst, src engine.ConnID, n int64) bool {
	to, from := s.asked("Move", dst), s.asked("Move", src)
	ok := s.w.sh.Move(dst, src, n)
	switch {
	case !ok:
	case from == nil || to == nil:
		s.w.fault("Move from %#x to %#x, one of which is dead", src, dst)
	default:
		from.moving, to.filling = true, src
	}
	return ok
}

// CloseWrite implements engine.Shard.
func (s watchedShard) CloseWrite(id engine.ConnID) {
	if a := s.asked("CloseWrite", id); a != nil {
		a.fin = true
	}
	s.w.sh.CloseWrite(id)
}

// Close implements engine.Shard.
func (s watchedShard) Close(id engine.ConnID, linger time.Duration) {
	s.ends("Close", id)
	s.w.sh.Close(id, linger)
}

// Abort implements engine.Shard.
func (s watchedShard) Abort(id engine.ConnID) {
	s.ends("Abort", id)
	s.w.sh.Abort(id)
}

func (s watchedShard) ends(call string, id engine.ConnID) {
	if a := s.asked(call, id); a != nil {
		a.phase = ending
		s.w.movesEnd(id, a)
	}
}

// Arm implements engine.Shard.
func (s watchedShard) Arm(id engine.ConnID, t engine.Timer, d time.Duration) {
	if a := s.asked("Arm", id); a != nil {
		a.due[t] = time.Time{}
		if d > 0 && a.phase != ending {
			a.due[t] = s.w.sh.Now().Add(d)
		}
	}
	s.w.sh.Arm(id, t, d)
}

// Ask implements engine.Shard.
func (s watchedShard) Ask(id engine.ConnID, fn func() any) bool {
	a := s.asked("Ask", id)
	ok := s.w.sh.Ask(id, fn)
	switch {
	case ok && a == nil:
		s.w.fault("Ask took a question of the dead ID %#x", id)
	case ok:
		a.answers++
	}
	return ok
}
