package session

import (
	"maps"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// record is a revocation and when it was made.
type record struct {
	Revocation
	at time.Time
}

// named is a name that an issuer gave.
type named struct{ issuer, value string }

// until is what an entry ends, and when it was made.
type until struct{ before, at time.Time }

// entries is what is in force. What it holds only grows, but for what is over: the order in which records come, and how often,
// makes no difference.
type entries struct {
	sids     map[string]until
	subs     map[named]until
	upstream map[named]until
	all      until
}

func newEntries() entries {
	return entries{sids: map[string]until{}, subs: map[named]until{}, upstream: map[named]until{}}
}

// add puts a record in force; changed says whether it ends what was not ended before. What is known finds room always: a file
// that is read once more says nothing new.
func (e *entries) add(r record) (changed bool, err error) {
	u := until{r.Before.Truncate(time.Millisecond), r.at}
	name := named{r.Issuer, r.Value}
	room := e.len() < maxEntries
	switch r.Kind {
	case SID:
		return later(e.sids, r.Value, u, room)
	case Sub:
		return later(e.subs, name, u, room)
	case Upstream:
		return later(e.upstream, name, u, room)
	case All:
		if changed = u.before.After(e.all.before); changed {
			e.all = u
			e.dropBefore(u)
		}
		return changed, nil
	}
	return false, errKind
}

// mayAdd reports whether there is room for what this process revokes.
func (e *entries) mayAdd(kind string) error {
	switch n := e.len(); {
	case kind == All, kind == Sub && n < maxUsers, n < maxSessions:
		return nil
	}
	return errFull
}

// dropBefore drops what says no more than that all were ended. An ended session of an issuer is to begin none again: it stays.
func (e *entries) dropBefore(all until) {
	maxBegan := all.before.Add(-2 * skew) // who is ended by name may have begun that far ahead
	maps.DeleteFunc(e.sids, func(_ string, u until) bool { return u.at.Before(maxBegan) })
	maps.DeleteFunc(e.subs, func(_ named, u until) bool { return !u.before.After(all.before) })
}

func later[K comparable](m map[K]until, key K, u until, room bool) (changed bool, err error) {
	switch old, known := m[key]; {
	case known && !u.before.After(old.before):
		return false, nil
	case !known && !room:
		return false, errFull
	}
	m[key] = u
	return true, nil
}

// has reports whether a session is ended.
func (e *entries) has(s *authz.Session) bool {
	if !s.Began.After(e.all.before) {
		return true
	}
	if len(e.sids) > 0 {
		if _, ended := e.sids[s.ID]; ended {
			return true
		}
	}
	if len(e.subs) > 0 {
		if u, ended := e.subs[named{s.Issuer, s.Subject}]; ended && !s.Began.After(u.before) {
			return true
		}
	}
	if len(e.upstream) > 0 && s.Upstream != "" {
		if _, ended := e.upstream[named{s.Issuer, s.Upstream}]; ended {
			return true
		}
	}
	return false
}

// len is the number of entries.
func (e *entries) len() int {
	n := len(e.sids) + len(e.subs) + len(e.upstream)
	if !e.all.before.IsZero() {
		n++
	}
	return n
}

// breath is how many entries are gone through before those who wait for the lock have it: each request with a session asks
// the list, and a million of them must not keep it waiting.
const breath = 4096

// prune drops what is about sessions that are over anyway: those that had begun lifetime before now, or earlier. breathe is
// called now and then, and may let others change the entries.
func (e *entries) prune(now time.Time, lifetime time.Duration, breathe func()) {
	over := func(u until) bool { return now.Sub(u.dies(lifetime)) > 0 }
	n := 0
	pruneIn(e.sids, over, &n, breathe)
	pruneIn(e.subs, over, &n, breathe)
	pruneIn(e.upstream, over, &n, breathe)
	if over(e.all) {
		e.all = until{}
	}
}

func pruneIn[K comparable](m map[K]until, over func(until) bool, n *int, breathe func()) {
	for key, u := range m {
		if over(u) {
			delete(m, key)
		}
		if *n++; *n%breath == 0 {
			breathe()
		}
	}
}

// dies is when an entry is about nobody any more. Sessions may have begun up to two minutes ahead of our clock.
func (u until) dies(lifetime time.Duration) time.Time {
	last := u.at
	if u.before.After(last) {
		last = u.before
	}
	return last.Add(lifetime + 2*skew)
}

// each calls add for what is in force. Others may change the entries while it does: what was there before, and stays, is told.
func (e *entries) each(add func(record)) {
	for value, u := range e.sids {
		add(record{Revocation{Kind: SID, Value: value, Before: u.before}, u.at})
	}
	for name, u := range e.subs {
		add(record{Revocation{Sub, name.issuer, name.value, u.before}, u.at})
	}
	for name, u := range e.upstream {
		add(record{Revocation{Upstream, name.issuer, name.value, u.before}, u.at})
	}
	if !e.all.before.IsZero() {
		add(record{Revocation{Kind: All, Before: e.all.before}, e.all.at})
	}
}
