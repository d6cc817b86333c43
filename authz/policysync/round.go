package policysync

import (
	"context"
	"errors"
	"time"

	"github.com/sluiceproxy/sluice/authz/policy"
)

// round makes the newest version of the source the one in force. It returns nil if it
// is. A version that was rejected before is tried again only if asked for, or if what was wrong
// with it may have been put right under the same head. Called by run.
func (s *Syncer) round(ctx context.Context, again bool) error {
	head, err := s.head(ctx)
	if err != nil {
		return s.failed(ctx, err)
	}
	now := time.Now()
	s.mu.Lock()
	known, rejected := s.status.Version, s.status.Rejected
	if head.Version.Hash == known.Hash && !s.status.LastGood {
		if s.status.Rejected = nil; !expired(head.Expires, now) { // an expired head does not tell what is the newest
			s.confirmed = now
		}
		s.answered()
		s.mu.Unlock()
		s.keepHead(head)
		return nil
	}
	s.mu.Unlock()
	if r := s.admissible(head, now); r != nil {
		return s.reject(r)
	}
	if rejected != nil && rejected.Version.Hash == head.Version.Hash && !again && !rejected.Reason.mends() {
		s.mu.Lock()
		s.answered()
		s.mu.Unlock()
		return textError(rejected.Error)
	}
	files, err := Fetch(ctx, s.config.Source, head)
	if err != nil {
		return s.failed(ctx, err)
	}
	files = append(files, s.config.Extra...)
	doc, err := policy.ParseFiles(files)
	if err != nil {
		return s.reject(&Refusal{Unreadable, head.Version, err})
	}
	if err = s.config.Apply(ctx, head.Version, doc); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return s.reject(&Refusal{NotBuilt, head.Version, err})
	}
	s.applied(head, now)
	s.keep(head, files)
	return nil
}

// failed tells a version that is kept out from a source that does not work.
func (s *Syncer) failed(ctx context.Context, err error) error {
	var r *Refusal
	if errors.As(err, &r) {
		return s.reject(r)
	}
	return s.sourceFailed(ctx, err)
}

// head reads the head until two reads agree, if the source saw a change in the making.
func (s *Syncer) head(ctx context.Context) (Head, error) {
	h, err := s.config.Source.Head(ctx)
	for range settleTries {
		if err != nil || !h.Unsettled || h.Version.Hash == s.hashInForce() {
			break
		}
		if err := sleep(ctx, settleFor); err != nil {
			return Head{}, err
		}
		before := h.Version.Hash
		if h, err = s.config.Source.Head(ctx); h.Version.Hash == before {
			break
		}
	}
	return h, err
}

func (s *Syncer) hashInForce() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status.Version.Hash
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answered notes that the source works. s.mu is held.
func (s *Syncer) answered() {
	s.status.SourceError, s.status.SourceSince = "", time.Time{}
}

func (s *Syncer) sourceFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err() // we are closing: that is not the source's fault
	}
	s.mu.Lock()
	fresh := s.status.SourceError != err.Error()
	if s.status.SourceError == "" {
		s.status.SourceSince = time.Now()
	}
	s.status.SourceError = err.Error()
	s.mu.Unlock()
	if fresh && !errors.Is(err, ErrGone) { // gone: it changed under us, the next round sees
		s.config.Log.Warn("policy source failed", "source", s.config.Source.Name(), "err", err)
	}
	return err
}

// reject remembers a version that is kept out. One that stays at the source counts once.
func (s *Syncer) reject(r *Refusal) error {
	text := r.Error()
	s.mu.Lock()
	since := time.Now()
	old := s.status.Rejected
	again := old != nil && old.Version.Hash == r.Version.Hash
	if again {
		since = old.Since
	}
	s.status.Rejected = &Rejected{r.Version, r.Reason, text, since}
	if !again || old.Reason != r.Reason {
		s.status.Rejections[r.Reason]++
	}
	s.answered()
	s.mu.Unlock()
	if !again || old.Error != text {
		s.config.Log.Error("policy version rejected", "version", r.Version.Number, "hash", r.Version.Hash, "reason", r.Reason, "err", r.Err)
	}
	return r
}

func (s *Syncer) applied(h Head, now time.Time) {
	if h.Ordered && h.Version.Number >= s.highest.Number {
		s.highest = h.Version
	}
	s.mu.Lock()
	s.status.Version, s.status.Applied, s.status.LastGood, s.status.Rejected = h.Version, now, false, nil
	s.status.Ordered, s.status.Published, s.status.Expires = h.Ordered, h.Created, h.Expires
	s.confirmed = now
	s.answered()
	s.mu.Unlock()
	s.config.Log.Info("policy in force", "version", h.Version.Number, "hash", h.Version.Hash, "source", s.config.Source.Name())
}
