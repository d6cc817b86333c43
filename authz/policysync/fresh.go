package policysync

import (
	"context"
	"errors"
	"time"
)

// freshEvery is how often an age is looked at, beside after each round.
const freshEvery = time.Second

// hear notes, after a round that began at started, whether the source gave something that is believed: then what is in
// force is what the publisher wants, or he published what cannot be used, which is no fault of the source. A head that is
// not believed says nothing about what is the newest. Called by run.
func (s *Syncer) hear(started time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var r *Refusal
	if errors.As(err, &r) {
		s.doubted = !r.Reason.believed()
	}
	switch {
	case err == nil && expired(s.status.Expires, time.Now()):
		// It stays in force, and says nothing about what is the newest: who holds a store on it may not keep it young.
	case err == nil:
		s.heard, s.doubted = started, false
	case s.status.SourceError == "" && s.status.Rejected != nil && !s.doubted:
		s.heard = started
	case s.heard.IsZero() && s.status.LastGood:
		// What is kept knows its age by the clock on the wall only; from here on it grows by the monotonic one.
		s.heard = started.Add(-max(0, started.Round(0).Sub(s.confirmed)))
		s.confirmed = s.heard
	}
}

// believed reports whether a version that is kept out for this reason was published by who may.
func (r Reason) believed() bool {
	switch r {
	case Unreadable, MinProxy, NotBuilt:
		return true
	case BadSignature, Oversized, BadHash, Rollback, Expired:
	}
	return false
}

// keepAge looks at the age of the policy in force until ctx is done. It has a goroutine of its own, because run may be waiting for a
// source that does not answer.
func (s *Syncer) keepAge(ctx context.Context) {
	defer close(s.aged)
	tick := time.NewTicker(freshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.lookAtAge()
		case done := <-s.look:
			s.lookAtAge()
			close(done)
		}
	}
}

// lookNow has keepAge look before it returns, so that nobody is told that a policy is in force which nobody is to be let in by. Called by run.
func (s *Syncer) lookNow(ctx context.Context) {
	if s.config.Fresh.Max <= 0 {
		return
	}
	done := make(chan struct{}) // closed by keepAge
	select {
	case s.look <- done:
		<-done
	case <-ctx.Done():
	}
}

// lookAtAge judges the age, and tells what changed. Called by keepAge.
func (s *Syncer) lookAtAge() {
	s.mu.Lock()
	heard, before, problem := s.heard, s.status.Freshness, s.status.SourceError
	if problem == "" && s.status.Rejected != nil {
		problem = s.status.Rejected.Error
	}
	judged := s.status.Version != Version{} && !heard.IsZero()
	s.mu.Unlock()
	now := Freshness{State: NotJudged}
	if judged {
		now = s.config.Fresh.judge(time.Since(heard), heard.Round(0), problem)
	}
	s.mu.Lock()
	s.status.Freshness = now
	s.mu.Unlock()
	if before.State == now.State && before.Text == now.Text {
		return
	}
	if denies := now.State == Denied; denies != (before.State == Denied) && s.config.Withhold != nil {
		s.config.Withhold(denies)
	}
	var err error
	if now.Text != "" {
		err = textError(now.Text)
	}
	s.config.Report(CheckFresh, now.health(), err)
	switch {
	case now.Stale():
		s.config.Log.Warn("policy is stale", "state", string(now.State), "err", err)
	case before.Stale():
		s.config.Log.Info("policy is fresh again")
	}
}

// health is what the check says.
func (f Freshness) health() State {
	switch f.State {
	case NotJudged, Fresh:
		return Running
	case Warned, Guarded, Denied:
		return Degraded
	case NotReady:
		return Failing
	}
	return Failing
}
