package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// The kinds of a Revocation.
const (
	SID      = "sid"      // one session: Value is authz.Session.ID
	Sub      = "sub"      // all of a user: Issuer, and Value is authz.Session.Subject
	Upstream = "upstream" // all that came of a session of the issuer: Issuer, and Value is authz.Session.Upstream
	All      = "all"      // of everybody
)

// Revocation ends sessions before their time.
type Revocation struct {
	Kind   string // SID, Sub, Upstream or All
	Issuer string // of Sub and Upstream
	Value  string // of all but All
	// Before bounds Sub and All: sessions that began later are not meant. Zero: now, with a minute for replicas whose clocks
	// are ahead; who logs in within it once the revocation is known is not meant all the same.
	Before time.Time
}

// The bounds of a list.
const (
	maxEntries = 500_000 // that are in force
	// What is revoked here leaves some room. Sessions may be begun and ended in a loop, by one who may log in: that must not keep
	// anybody from ending all of a user's. And what other processes have written meanwhile has to find a place.
	maxSessions = 450_000
	maxUsers    = 490_000
	maxName     = 1024 // bytes of an issuer or a value
)

var (
	errFull = errors.New("the list of revocations is full: revoke all sessions of the user, or those of everybody")
	errKind = errors.New("a revocation is of a session, of a user or a session of an issuer, or of all")
)

// ListConfig says where a list is kept.
type ListConfig struct {
	File     string        // empty: in memory alone
	Lifetime time.Duration // of sessions: an entry is dropped when none it may be about is left; zero: DefaultLifetime
	// MaxStaleness is how long ago the file may have been read well; zero: DefaultStaleness. After that sessions are let in
	// all the same, or, with Deny, are not.
	MaxStaleness time.Duration
	Deny         bool

	// Feed shares the list beyond this machine, and FeedStaleness and FeedDeny are of it what MaxStaleness and Deny are of the
	// file: it has a clock of its own. nil: it is not shared; zero: DefaultFeedStaleness.
	Feed          Feed
	FeedStaleness time.Duration
	FeedDeny      bool

	Now func() time.Time // zero: time.Now
}

// DefaultStaleness is how long a list may not be read before somebody should act.
const DefaultStaleness = time.Minute

// List is what was revoked, in memory and, where it has a file, in that: a line of JSON each, appended, and shared by all
// processes on a machine or a shared volume. Each reads what the others append within pollEvery. Safe for concurrent use.
//
// A session is ended by what any line says; lines are never taken back, so a file that is gone, cut or replaced ends no
// revocation that a process knows of, and is written anew. A line that cannot be read may have revoked anything: until an
// All follows, or sessions of its time are over, the list counts as not read well.
type List struct {
	config ListConfig

	mu       sync.RWMutex
	entries  entries // guarded by mu
	onChange func()  // guarded by mu
	count    uint64  // of revocations that came from here; guarded by mu
	writing  pending // guarded by mu
	state    state   // guarded by mu
	sharing  sharing // see there

	fresh     atomic.Int64  // when the file was last read well, in ns since 1970; 0: never
	feedFresh atomic.Int64  // the same of the feed
	feedPoke  chan struct{} // one token: there is something that the feed may lack; never closed

	poke chan struct{} // one token: there is something to write; never closed

	files    sync.Mutex // held while the file is read or written
	follower follower   // guarded by files
}

// NewList returns a list that was not read yet.
func NewList(c ListConfig) *List {
	if c.Lifetime <= 0 {
		c.Lifetime = DefaultLifetime
	}
	if c.MaxStaleness <= 0 {
		c.MaxStaleness = DefaultStaleness
	}
	if c.FeedStaleness <= 0 {
		c.FeedStaleness = DefaultFeedStaleness
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	l := &List{config: c, entries: newEntries(), poke: make(chan struct{}, 1)}
	l.writing.tried, l.feedPoke = make(chan struct{}), make(chan struct{}, 1)
	l.sharing = sharing{there: newEntries(), number: 1, tried: make(chan struct{})} // what is in the file at the start is to be shared
	l.state.started = c.Now()
	l.state.since = l.state.started
	return l
}

// Check says what is wrong with a revocation.
func (r Revocation) Check() error { return r.check(time.Now()) }

// check completes a revocation, or says what is wrong with it.
func (r *Revocation) check(now time.Time) error {
	switch needsIssuer := r.Kind == Sub || r.Kind == Upstream; {
	case r.Kind != SID && r.Kind != All && !needsIssuer:
		return errKind
	case needsIssuer != (r.Issuer != "") || (r.Kind == All) != (r.Value == ""):
		return errKind
	case len(r.Issuer) > maxName || len(r.Value) > maxName:
		return fmt.Errorf("the names of a revocation are at most %d bytes long", maxName)
	case r.Before.After(now.Add(skew)):
		return errors.New("a revocation is of what has begun: its time is to come")
	}
	if r.Before.IsZero() {
		r.Before = now.Add(skew)
	}
	return nil
}

// Add revokes. That counts in this process at once, and when Add returns nil, it is on disk. An error that is not about the
// revocation itself says that it is not there yet: it will be tried again for as long as the process lives.
func (l *List) Add(ctx context.Context, r Revocation) error {
	now := l.config.Now()
	if err := r.check(now); err != nil {
		return err
	}
	if l.config.File == "" {
		l.dropOver(now) // of others Sync does
	}
	l.mu.Lock()
	var changed bool
	err := l.entries.mayAdd(r.Kind)
	if err == nil {
		changed, err = l.entries.add(record{r, now})
	}
	if err != nil {
		l.mu.Unlock()
		return err
	}
	l.count++
	if (changed || r.Kind == All) && l.config.File != "" { // lines that are damaged wait for an All behind them
		l.writing.add(record{r, now}, now)
	}
	number := l.writing.last // of ours, or of one that has said the same before
	l.mu.Unlock()
	if changed {
		l.changed()
	}
	if l.config.File == "" {
		return nil
	}
	return l.await(ctx, number)
}

// OnChange has f called, without a lock held, after entries came. It replaces what was set before.
func (l *List) OnChange(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onChange = f
}

func (l *List) changed() {
	l.mu.Lock()
	l.sharing.number++
	f := l.onChange
	l.mu.Unlock()
	l.pokeFeed()
	if f != nil {
		f()
	}
}

// revoked reports whether a session was. It allocates nothing.
func (l *List) revoked(s *authz.Session) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.entries.has(s)
}

// after returns the time at which a session of a user that begins now has to have begun for not being among those that were
// revoked: now, or a moment after the revocation.
func (l *List) after(issuer, subject string, now time.Time) time.Time {
	l.mu.RLock()
	defer l.mu.RUnlock()
	until := l.entries.subs[named{issuer, subject}].before
	if l.entries.all.before.After(until) {
		until = l.entries.all.before
	}
	if !until.Before(now.Truncate(time.Millisecond)) {
		return until.Truncate(time.Millisecond).Add(time.Millisecond)
	}
	return now
}
