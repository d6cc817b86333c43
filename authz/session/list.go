package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
	maxName    = 1024    // bytes of an issuer or a value
)

var (
	errFull = fmt.Errorf("the list of revocations is full (%d): revoke the sessions of everybody instead", maxEntries)
	errKind = errors.New("a revocation is of a session, of a user or a session of an issuer, or of all")
)

// ListConfig says where a list is kept.
type ListConfig struct {
	Lifetime time.Duration    // of sessions: an entry is dropped when none it may be about is left; zero: DefaultLifetime
	Now      func() time.Time // zero: time.Now
}

// List is what was revoked. Safe for concurrent use.
type List struct {
	config ListConfig

	mu       sync.RWMutex
	entries  entries // guarded by mu
	onChange func()  // guarded by mu
	count    uint64  // of revocations that came from here; guarded by mu
}

// NewList returns a list.
func NewList(c ListConfig) *List {
	if c.Lifetime <= 0 {
		c.Lifetime = DefaultLifetime
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &List{config: c, entries: newEntries()}
}

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

// Add revokes. In memory it counts at once.
func (l *List) Add(_ context.Context, r Revocation) error {
	now := l.config.Now()
	if err := r.check(now); err != nil {
		return err
	}
	l.mu.Lock()
	l.count++
	changed, err := l.entries.add(record{r, now})
	l.mu.Unlock()
	if changed {
		l.changed()
	}
	return err
}

// OnChange has f called, without a lock held, after entries came. It replaces what was set before.
func (l *List) OnChange(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onChange = f
}

func (l *List) changed() {
	l.mu.RLock()
	f := l.onChange
	l.mu.RUnlock()
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

// unavailable reports whether sessions may not be let in, since what was revoked is not known.
func (l *List) unavailable(time.Time) bool { return false }
