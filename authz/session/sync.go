package session

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// pollEvery is how often the file is looked at for what others have revoked.
const pollEvery = 200 * time.Millisecond

// state is what became of the file.
type state struct {
	err      error     // why it was not read well; nil: it was
	since    time.Time // since when it is so
	lines    int       // of the file
	readable bool      // it was read once, damaged lines or not
	started  time.Time // of the list
	dropped  time.Time // when entries that are over were last dropped
}

// Run follows the file and writes what is revoked here, until the context ends. It must not run twice.
func (l *List) Run(ctx context.Context) {
	l.running(true)
	defer l.running(false)
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		_ = l.Sync() // tells by its state
		select {
		case <-t.C:
		case <-l.poke:
		case <-ctx.Done():
			_ = l.Sync() // what came meanwhile
			return
		}
	}
}

func (l *List) running(is bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing.running = is
}

// Sync writes what waits for the disk and reads what others have written. The error says what was not possible; Status has it
// too. It does nothing without a file.
func (l *List) Sync() error {
	if l.config.File == "" {
		return nil
	}
	l.files.Lock()
	changed, err := l.sync()
	l.files.Unlock()
	if changed {
		l.changed()
	}
	return err
}

// sync is Sync, with files held.
func (l *List) sync() (changed bool, err error) {
	now := l.config.Now()
	apply := func(r record) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if now.After(until{r.Before, r.at}.dies(l.config.Lifetime)) {
			return nil
		}
		news, err := l.entries.add(r)
		changed = changed || news
		return err
	}
	err = l.follower.read(l.config.File, now, apply)
	if errors.Is(err, fs.ErrNotExist) { // the first start, or somebody took it away
		if err = l.rewrite(apply); err == nil {
			err = l.follower.read(l.config.File, now, apply)
		}
	}
	writeErr := l.write(now)
	if l.dropOver(now) && err == nil && l.wordy() {
		err = l.rewrite(apply)
	}
	return changed, errors.Join(writeErr, l.settle(now, err))
}

// write puts on disk what waits for it.
func (l *List) write(now time.Time) error {
	l.mu.RLock()
	records, number, waiting := l.writing.records, l.writing.last, l.writing.waiting()
	if l.writing.whole() {
		records = l.everything()
	}
	l.mu.RUnlock()
	if waiting == 0 {
		return nil
	}
	err := appendRecords(l.config.File, records)
	if err != nil {
		err = fmt.Errorf("write the list of revocations: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing.done(number, now, err)
	return err
}

// settle keeps what became of reading, and returns it.
func (l *List) settle(now time.Time, err error) error {
	f := &l.follower
	if f.damage.lines > 0 && now.After(until{at: f.damage.by}.dies(l.config.Lifetime)) {
		f.damage = damage{} // what they revoked is over
	}
	if err == nil && f.damage.lines > 0 {
		err = fmt.Errorf("%s:%d: not a revocation (%w); %d such: it may have ended any session; end all (sluice session revoke --all), or mend the line",
			l.config.File, f.damage.first, f.damage.err, f.damage.lines)
	} else if err != nil {
		err = fmt.Errorf("read the list of revocations: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if (err == nil) != (l.state.err == nil) {
		l.state.since = now
	}
	l.state.err, l.state.lines = err, f.lines
	l.state.readable = l.state.readable || f.info != nil
	if err == nil {
		l.fresh.Store(now.UnixNano())
	}
	return err
}

// dropOver drops, each minute, what is about sessions that are over, and reports whether it did.
func (l *List) dropOver(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.state.dropped) < time.Minute {
		return false
	}
	l.state.dropped = now
	l.entries.prune(now, l.config.Lifetime, func() {
		l.mu.Unlock()
		l.mu.Lock()
	})
	return true
}

// everything is all that is in force; what comes while it is gathered may be missing. The caller holds mu for reading, and
// others have it now and then.
func (l *List) everything() (records []record) {
	l.entries.each(func(r record) {
		if records = append(records, r); len(records)%breath == 0 {
			l.mu.RUnlock()
			l.mu.RLock()
		}
	})
	return records
}

// wordy reports whether the file is much longer than what it says.
func (l *List) wordy() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.follower.lines >= compactFrom && l.entries.len() <= l.follower.lines/2 && l.follower.damage.lines == 0
}

// rewrite puts a file in the place of the one there is, with all that this says and all that we know. One with lines that are
// damaged stays as it is.
func (l *List) rewrite(apply func(record) error) error {
	return locked(l.config.File, func() error {
		var all follower // others may have written since we read
		err := all.read(l.config.File, l.config.Now(), apply)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if all.damage.lines > 0 {
			return nil
		}
		var number uint64 // what waits for the disk up to there is among it
		l.mu.RLock()
		number = l.writing.last
		records := l.everything()
		l.mu.RUnlock() // before they are written: each request with a session needs the list
		err = replace(l.config.File, records)
		l.mu.Lock()
		defer l.mu.Unlock()
		if err == nil && l.writing.waiting() > 0 {
			l.writing.done(number, l.config.Now(), nil)
		}
		return err
	})
}

// unavailable reports whether sessions may not be let in, since what was revoked is not known.
func (l *List) unavailable(now time.Time) bool {
	return l.fileUnavailable(now) || l.feedUnavailable(now)
}

func (l *List) fileUnavailable(now time.Time) bool {
	if !l.config.Deny || l.config.File == "" {
		return false
	}
	fresh := l.fresh.Load()
	return fresh == 0 || now.Sub(time.Unix(0, fresh)) > l.config.MaxStaleness
}
