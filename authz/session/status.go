package session

import "time"

// ListStatus is the account of a list at one moment.
type ListStatus struct {
	File         string
	Entries      int           // in force
	Lines        int           // of the file
	Pending      int           // revoked here and not on disk yet
	PendingErr   error         // why; nil: they are only just being written
	PendingSince time.Time     // since when
	Readable     bool          // the file was read, well or with lines that are damaged
	Err          error         // why the file was not read well; nil: it was
	Since        time.Time     // since when that is so
	Stale        time.Duration // since it was last read well, or, if it never was, since the start; 0 without a file
	TooStale     bool          // longer than MaxStaleness
	Denies       bool          // and therefore no session is let in
}

// Status tells what is in force and how fresh that is.
func (l *List) Status() ListStatus {
	now := l.config.Now()
	l.mu.RLock()
	defer l.mu.RUnlock()
	s := ListStatus{File: l.config.File, Entries: l.entries.len()}
	if s.File == "" {
		return s
	}
	s.Lines, s.Err, s.Since, s.Readable = l.state.lines, l.state.err, l.state.since, l.state.readable
	if s.Pending = l.writing.waiting(); s.Pending > 0 {
		s.PendingErr, s.PendingSince = l.writing.err, l.writing.since
	}
	last := l.state.started
	if fresh := l.fresh.Load(); fresh != 0 {
		last = time.Unix(0, fresh)
	}
	s.Stale = max(0, now.Sub(last))
	s.TooStale, s.Denies = s.Stale > l.config.MaxStaleness, l.fileUnavailable(now)
	return s
}

// Loaded reports whether the file was read well once, so that what is in force is what was revoked.
func (l *List) Loaded() bool { return l.config.File == "" || l.fresh.Load() != 0 }

// Stats counts what a keeper has done.
type Stats struct {
	// Opened is how often a request had a session cookie, by what came of it: "remembered" and "opened" were good.
	Opened  map[string]uint64
	Begun   uint64
	Renewed uint64
	Revoked uint64 // revocations that were made here
}

// Stats returns the counts.
func (k *Keeper) Stats() Stats {
	s := Stats{Opened: make(map[string]uint64, results), Begun: k.begun.Load(), Renewed: k.renewed.Load()}
	for r := absent + 1; r < results; r++ {
		s.Opened[r.String()] = k.counts[r].Load()
	}
	k.list.mu.RLock()
	defer k.list.mu.RUnlock()
	s.Revoked = k.list.count
	return s
}

// Results lists the keys of Stats.Opened.
func Results() []string { return resultWords[absent+1:] }
