package session

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Feed is where a list is shared beyond a machine: lines as in its file, each under a key of its own, so that no two writers
// meet. Calls end with their context. Implementations are safe for concurrent use.
type Feed interface {
	// Name says what and where it is.
	Name() string
	// Since returns the lines that came after a point, and the point up to which that is all: linearizably, so that what was
	// published before the call is among them. 0 is before all.
	Since(ctx context.Context, after int64) (lines [][]byte, now int64, err error)
	// Publish puts a line there for so long. The same line again changes nothing.
	Publish(ctx context.Context, line []byte, lasts time.Duration) error
	// Watch returns at once, with a channel that gets a value when a line came; it is closed when ctx is done, or when
	// there will be no more hints. One too few costs time.
	Watch(ctx context.Context) <-chan struct{}
}

const (
	feedEvery = 5 * time.Second  // between two looks at the feed without a hint
	feedWait  = 10 * time.Second // for all calls of a look, and of who revokes
	feedRetry = 500 * time.Millisecond
)

// DefaultFeedStaleness is how long a feed may not be read before somebody should act.
const DefaultFeedStaleness = time.Minute

// sharing is how a list stands with its feed. Guarded by the list's mu.
type sharing struct {
	there  entries       // what the feed is known to have; owned by RunFeed
	point  int64         // up to which it was read; owned by RunFeed
	number uint64        // of changes of the list so far
	shared uint64        // up to there the feed has them
	err    error         // of the last look; nil: it went well
	since  time.Time     // since when that is so
	tried  chan struct{} // closed after each look, and replaced
}

// RunFeed reads the feed and publishes what it lacks, until the context ends. It must not run twice, nor without a feed.
// What comes from it counts at once, and is written to the file as what is revoked here.
func (l *List) RunFeed(ctx context.Context) {
	var hints <-chan struct{}
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		pause := min(feedEvery, l.config.FeedStaleness/3)
		if err := l.look(ctx); err != nil {
			pause = feedRetry
		} else if hints == nil {
			hints = l.config.Feed.Watch(ctx)
		}
		wait.Reset(pause)
		select {
		case _, ok := <-hints:
			if !ok {
				hints = nil // watched again after the next look that goes well, and not as often as it can end
				wait.Reset(feedRetry)
				select {
				case <-wait.C:
				case <-ctx.Done():
				}
			}
		case <-l.feedPoke:
		case <-wait.C:
		case <-ctx.Done():
			if hints != nil {
				for range hints { // what watches is gone when this returns
				}
			}
			return
		}
	}
}

// look reads what is new and publishes what is missing.
func (l *List) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, feedWait)
	defer cancel()
	answered, err := l.receive(ctx)
	if answered { // a line that nobody can read keeps nobody from hearing of the others
		err = errors.Join(err, l.offer(ctx))
	}
	now := l.config.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.sharing
	if (err == nil) != (s.err == nil) || s.since.IsZero() {
		s.since = now
	}
	s.err = err
	close(s.tried)
	s.tried = make(chan struct{})
	return err
}

// receive takes over what came. A line that cannot be read may have revoked anything: the feed counts as not read, and is read
// from the same point again, until that line is gone.
func (l *List) receive(ctx context.Context) (answered bool, err error) {
	s := &l.sharing
	lines, point, err := l.config.Feed.Since(ctx, s.point)
	if err != nil {
		return false, fmt.Errorf("read the revocations of the fleet: %w", err)
	}
	if point < s.point { // the store was put back to what it was: what it has, and what it has lost, is to be seen anew
		s.point, s.there = 0, newEntries()
		l.mu.Lock()
		s.shared = 0
		l.mu.Unlock()
		if lines, point, err = l.config.Feed.Since(ctx, 0); err != nil {
			return false, fmt.Errorf("read the revocations of the fleet: %w", err)
		}
	}
	now, changed := l.config.Now(), false
	var damage error
	for _, text := range lines {
		r, err := parseLine(text)
		if err != nil {
			damage = errors.Join(damage, fmt.Errorf("%.100q: not a revocation (%w)", text, err))
			continue
		}
		if now.After(until{r.Before, r.at}.dies(l.config.Lifetime)) {
			continue
		}
		_, _ = s.there.add(r) // it finds no room: it is published again, which changes nothing
		l.mu.Lock()
		news, err := l.entries.add(r)
		if news && l.config.File != "" {
			l.writing.add(r, now)
		}
		l.mu.Unlock()
		if changed = changed || news; err != nil {
			damage = errors.Join(damage, err)
		}
	}
	if changed {
		l.changed()
		l.pokeWriter()
	}
	if damage != nil {
		return true, fmt.Errorf("read the revocations of the fleet from %s: %w; it may have ended any session", l.config.Feed.Name(), damage)
	}
	s.point = point
	l.feedFresh.Store(now.UnixNano())
	return true, nil
}

// offer publishes what the feed does not have.
func (l *List) offer(ctx context.Context) error {
	s := &l.sharing
	now := l.config.Now()
	s.there.prune(now, l.config.Lifetime, func() {})
	l.mu.RLock()
	number, done := s.number, s.shared == s.number
	var records []record
	if !done {
		records = l.everything()
	}
	l.mu.RUnlock()
	for _, r := range records {
		if s.there.ends(r) {
			continue
		}
		lasts := until{r.Before, r.at}.dies(l.config.Lifetime).Sub(now)
		if lasts <= 0 {
			continue
		}
		if err := l.config.Feed.Publish(ctx, appendLine(nil, r), lasts); err != nil {
			return fmt.Errorf("tell the fleet of a revocation: %w", err)
		}
		_, _ = s.there.add(r)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.shared = max(s.shared, number)
	return nil
}

// ends reports whether these entries say all that a record does.
func (e *entries) ends(r record) bool {
	before := r.Before.Truncate(time.Millisecond)
	covers := func(u until, ok bool) bool { return ok && !before.After(u.before) }
	switch r.Kind {
	case SID:
		u, ok := e.sids[r.Value]
		return covers(u, ok)
	case Sub:
		u, ok := e.subs[named{r.Issuer, r.Value}]
		return covers(u, ok) || !before.After(e.all.before)
	case Upstream:
		u, ok := e.upstream[named{r.Issuer, r.Value}]
		return covers(u, ok)
	case All:
		return !before.After(e.all.before)
	}
	return false
}

// AwaitFeed returns when the feed has all that was in force at the call; at once without a feed. An error says that others of
// the fleet do not know of it yet: it is tried again for as long as the process lives.
func (l *List) AwaitFeed(ctx context.Context) error {
	if l.config.Feed == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, feedWait)
	defer cancel()
	l.mu.RLock()
	number := l.sharing.number
	l.mu.RUnlock()
	for {
		l.mu.RLock()
		shared, err, tried := l.sharing.shared >= number, l.sharing.err, l.sharing.tried
		l.mu.RUnlock()
		if shared {
			return nil
		}
		l.pokeFeed()
		select {
		case <-tried:
		case <-ctx.Done():
			return fmt.Errorf("in force in this process, but others of the fleet do not know yet: %w", errors.Join(err, context.Cause(ctx)))
		}
	}
}

func (l *List) pokeFeed() {
	select {
	case l.feedPoke <- struct{}{}:
	default: // it is known
	}
}

func (l *List) pokeWriter() {
	select {
	case l.poke <- struct{}{}:
	default: // it is known
	}
}

// feedUnavailable reports whether sessions may not be let in, since what was revoked elsewhere is not known.
func (l *List) feedUnavailable(now time.Time) bool {
	if !l.config.FeedDeny || l.config.Feed == nil {
		return false
	}
	fresh := l.feedFresh.Load()
	return fresh == 0 || now.Sub(time.Unix(0, fresh)) > l.config.FeedStaleness
}

// FeedStatus is the account of a feed at one moment.
type FeedStatus struct {
	Name     string
	Pending  bool          // there is something that it does not have yet
	Err      error         // of the last look; nil: it went well
	Since    time.Time     // since when that is so
	Stale    time.Duration // since it was last read well, or, if it never was, since the start
	TooStale bool          // longer than FeedStaleness
	Denies   bool          // and therefore no session is let in
}

// FeedStatus tells how fresh the feed is; ok is false without one.
func (l *List) FeedStatus() (s FeedStatus, ok bool) {
	if l.config.Feed == nil {
		return s, false
	}
	now := l.config.Now()
	s.Denies = l.feedUnavailable(now)
	l.mu.RLock()
	defer l.mu.RUnlock()
	of := &l.sharing
	s.Name, s.Err, s.Since, s.Pending = l.config.Feed.Name(), of.err, of.since, of.shared < of.number
	last := l.state.started
	if fresh := l.feedFresh.Load(); fresh != 0 {
		last = time.Unix(0, fresh)
	}
	s.Stale = max(0, now.Sub(last))
	s.TooStale = s.Stale > l.config.FeedStaleness
	return s, true
}
