package session

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	maxPending = 10_000          // records that wait for the disk: with more, all that is in force is appended
	writeWait  = 5 * time.Second // of who revokes, for the disk
)

// pending is what is not on disk yet. Records are numbered as they come.
type pending struct {
	records  []record  // the last ones
	last     uint64    // number of the last record
	written  uint64    // up to there they are on disk
	overflow uint64    // up to there they are not among records: there were too many
	failed   uint64    // up to there the last attempt has failed
	err      error     // of that attempt; nil: it went well
	since    time.Time // when the oldest that waits came, or the last attempt went well
	running  bool      // Run is there to write

	tried chan struct{} // closed after each attempt, and replaced
}

func (p *pending) add(r record, now time.Time) {
	if p.waiting() == 0 {
		p.since = now
	}
	p.last++
	if p.records = append(p.records, r); len(p.records) > maxPending {
		p.records, p.overflow = nil, p.last
	}
}

// waiting is how many are not on disk.
func (p *pending) waiting() int { return int(p.last - p.written) }

// whole reports whether all that is in force has to be written, for lack of records.
func (p *pending) whole() bool { return p.overflow > p.written }

// done takes the result of an attempt to write all up to a number.
func (p *pending) done(number uint64, now time.Time, err error) {
	if p.err = err; err != nil {
		p.failed = number
	} else {
		p.written, p.since = number, now
		keep := min(len(p.records), p.waiting())
		p.records = slices.Clone(p.records[len(p.records)-keep:])
	}
	close(p.tried)
	p.tried = make(chan struct{})
}

// await returns when a record is on disk, or why it is not.
func (l *List) await(ctx context.Context, number uint64) error {
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	for {
		l.mu.RLock()
		w := l.writing
		l.mu.RUnlock()
		switch {
		case w.written >= number:
			return nil
		case w.failed >= number:
			return fmt.Errorf("in force in this process, but not on disk yet: %w", w.err)
		case !w.running:
			_ = l.Sync() // tells by its state
			continue
		}
		select {
		case l.poke <- struct{}{}:
		default: // it is known
		}
		select {
		case <-w.tried:
		case <-ctx.Done():
			return fmt.Errorf("in force in this process, but not on disk yet: %w", context.Cause(ctx))
		}
	}
}
