package httpdrain

import "time"

// lameDuck goes on accepting for a while: for LameDuckMin, then until it is quiet, and for
// LameDuckMax at most. Readiness has turned when it begins.
func (s *Server) lameDuck() {
	began := time.Now()
	s.tracker.Leave()
	s.cfg.Log.Info("lame duck: not ready, still accepting", "at_most", s.cfg.LameDuckMax)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.leaving:
			return
		}
		now := time.Now()
		wait := s.lameDuckLeft(began, now)
		if wait <= 0 {
			return
		}
		// Responses look by themselves whether it is time for a goodbye; HTTP/2 has to be told.
		if notice := began.Add(s.cfg.Drain.NoticeAfter).Sub(now); notice > 0 {
			wait = min(wait, notice)
		} else {
			s.tracker.Step(now)
			s.tellHTTP2()
		}
		timer.Reset(wait)
	}
}

// lameDuckLeft is when to look again; 0: the lame duck is over. Nothing tells of quiet but
// the time that passes without an arrival, so this is a forecast that an arrival moves.
func (s *Server) lameDuckLeft(began, now time.Time) time.Duration {
	left := began.Add(s.cfg.LameDuckMax).Sub(now)
	if wait := began.Add(s.cfg.LameDuckMin).Sub(now); wait > 0 {
		return min(wait, left)
	}
	quiet, judged := s.tracker.Quiet(now)
	switch {
	case s.cfg.Quiet <= 0:
		return left
	case !judged:
		return min(s.cfg.Quiet, left)
	}
	return min(s.cfg.Quiet-quiet, left)
}
