package policysync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/authz/policy"
)

// round makes the newest version of the source the one in force. It returns nil if it
// is. A version that was rejected before is tried again only if asked for. Called by run.
func (s *Syncer) round(ctx context.Context, again bool) error {
	head, err := s.head(ctx)
	if err != nil {
		return s.sourceFailed(ctx, err)
	}
	now := time.Now()
	s.mu.Lock()
	known, rejected := s.status.Version, s.status.Rejected
	if head.Version.Hash == known.Hash && !s.status.LastGood {
		s.confirmed, s.status.Rejected = now, nil
		s.answered()
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	if rejected != nil && rejected.Version.Hash == head.Version.Hash && !again {
		s.mu.Lock()
		s.answered()
		s.mu.Unlock()
		return textError(rejected.Error)
	}
	if err := s.admissible(head, now); err != nil {
		return s.reject(head.Version, err)
	}
	files, err := s.fetch(ctx, head)
	if err != nil {
		return s.sourceFailed(ctx, err)
	}
	doc, err := policy.ParseFiles(files)
	if err == nil {
		err = s.config.Apply(ctx, head.Version, doc)
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return s.reject(head.Version, err)
	}
	s.applied(head, now)
	s.keep(head, files)
	return nil
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

// admissible refuses heads by what they say of themselves.
func (s *Syncer) admissible(h Head, now time.Time) error {
	switch {
	case !h.Expires.IsZero() && !now.Before(h.Expires):
		return fmt.Errorf("version %s expired at %s; publish a new one", h.Version, h.Expires.Format(time.RFC3339))
	case h.Ordered && h.Version.Number < s.highest:
		return fmt.Errorf("version %s is older than version %d, which was applied before; publish the old content under a new number", h.Version, s.highest)
	case h.Ordered && h.Version.Number == s.highest && h.Version.Number == s.Status().Version.Number && h.Version.Hash != s.hashInForce():
		return fmt.Errorf("version %s differs from the version %d in force; publish under a new number", h.Version, s.highest)
	}
	return nil
}

// fetch gets and verifies all objects of a head.
func (s *Syncer) fetch(ctx context.Context, h Head) ([]policy.File, error) {
	files := make([]policy.File, 0, len(h.Objects))
	total := 0
	for _, o := range h.Objects {
		b, err := s.config.Source.Fetch(ctx, o.Hash)
		if err != nil {
			return nil, fmt.Errorf("fetch %s: %w", o.Name, err)
		}
		if got := hashOf(b); got != o.Hash {
			return nil, fmt.Errorf("fetch %s: its hash is %.12s, the head says %.12s", o.Name, got, o.Hash)
		}
		if total += len(b); total > policy.MaxSize {
			return nil, fmt.Errorf("fetch %s: the policy has more than %d bytes", o.Name, policy.MaxSize)
		}
		files = append(files, policy.File{Name: o.Name, Src: b})
	}
	return files, nil
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

func (s *Syncer) reject(v Version, err error) error {
	text := err.Error()
	s.mu.Lock()
	since := time.Now()
	old := s.status.Rejected
	again := old != nil && old.Version.Hash == v.Hash
	if again {
		since = old.Since
	}
	s.status.Rejected = &Rejected{v, text, since}
	s.status.Rejections++
	s.answered()
	s.mu.Unlock()
	if !again || old.Error != text {
		s.config.Log.Error("policy version rejected", "version", v.Number, "hash", v.Hash, "err", err)
	}
	return err
}

func (s *Syncer) applied(h Head, now time.Time) {
	if h.Ordered {
		s.highest = max(s.highest, h.Version.Number)
	}
	s.mu.Lock()
	s.status.Version, s.status.Applied, s.status.LastGood, s.status.Rejected = h.Version, now, false, nil
	s.status.Ordered, s.status.Published = h.Ordered, h.Created
	s.confirmed = now
	s.answered()
	s.mu.Unlock()
	s.config.Log.Info("policy in force", "version", h.Version.Number, "hash", h.Version.Hash, "source", s.config.Source.Name())
}
