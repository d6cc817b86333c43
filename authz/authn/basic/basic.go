package basic

import (
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// The bounds of what requests may cost.
const (
	hashesAtOnce   = 2               // of argon2id: 64 MiB each
	maxWaiting     = 16              // requests that wait for a place to hash
	maxWait        = 3 * time.Second // of such a request, and for the first Load
	perSource      = 10              // failures of an address in failureWindow
	perUser        = 100             // failures of a user in failureWindow, from all addresses
	failureWindow  = time.Minute     // from the first of them
	maxThrottled   = 10_000          // addresses, and as many users, that are counted
	rememberedFor  = 5 * time.Minute
	maxRemembered  = 10_000
	evictionChoice = 8 // of how many entries a full table drops one
)

// Authenticator authenticates by password. Safe for concurrent use.
type Authenticator struct {
	file  string
	users atomic.Pointer[userSet] // nil before the first good Load
	seal  seal

	loading sync.Mutex // held during Load
	status  atomic.Pointer[Status]
	first   chan struct{} // closed by the first Load that ends, either way
	once    sync.Once     // guards the close

	hashing chan struct{} // one token for each hash that is computed; never closed
	waiting atomic.Int32  // requests that wait for a place in hashing

	cache    cache
	bySource failures
	byUser   failures
}

var _ authz.Authenticator = (*Authenticator)(nil)

// New returns an authenticator that has no users yet.
func New(file string) *Authenticator {
	a := &Authenticator{file: file, first: make(chan struct{}), hashing: make(chan struct{}, hashesAtOnce)}
	var key [sha256.BlockSize]byte
	_, _ = rand.Read(key[:]) // never fails: crypto/rand
	a.seal.key(key)
	a.bySource.limit, a.byUser.limit = perSource, perUser
	a.status.Store(&Status{})
	return a
}

// Name returns "basic".
func (a *Authenticator) Name() string { return "basic" }

// ChallengeHeader returns the challenge of RFC 7617 section 2.1.
func (a *Authenticator) ChallengeHeader() string { return `Basic realm="sluice", charset="UTF-8"` }

// Fields returns the fields (lower case) that Try and Resolve look at.
func (a *Authenticator) Fields() []string { return []string{"authorization"} }

// Try answers for credentials that were verified before, and for addresses that are throttled.
func (a *Authenticator) Try(req *authz.Request) (*authz.Identity, authz.Verdict) {
	var c credential
	if v := c.find(req); v != authz.Pending {
		return nil, v
	}
	return a.remembered(&c, sourceOf(req.Source), time.Now())
}

// remembered answers without a hash; Pending: one has to be computed. The address comes first: who guesses must
// not learn what others have had verified.
func (a *Authenticator) remembered(c *credential, source digest, now time.Time) (*authz.Identity, authz.Verdict) {
	if a.bySource.throttled(source, now) {
		return nil, authz.Unavailable
	}
	set := a.users.Load()
	if set == nil {
		if a.Status().Err != nil {
			return nil, authz.Unavailable
		}
		return nil, authz.Pending
	}
	if id := a.cache.get(a.seal.credential(c, source), set, now); id != nil {
		return id, authz.Allow
	}
	if a.byUser.throttled(a.seal.user(c), now) {
		return nil, authz.Unavailable
	}
	return nil, authz.Pending
}

// Resolve hashes the password, if there is a place to do it in time.
func (a *Authenticator) Resolve(req *authz.Request) (*authz.Identity, authz.Verdict) {
	var c credential
	if v := c.find(req); v != authz.Pending {
		return nil, v
	}
	deadline := time.NewTimer(maxWait)
	defer deadline.Stop()
	select {
	case <-a.first:
	case <-deadline.C:
		return nil, authz.Unavailable
	}
	if !a.enter(deadline.C) {
		return nil, authz.Unavailable
	}
	defer func() { <-a.hashing }()
	// Others may have verified it, or failed, while this one waited. Failures are counted before the place is
	// free again, so that no more than hashesAtOnce-1 are above a limit.
	source := sourceOf(req.Source)
	if id, v := a.remembered(&c, source, time.Now()); v != authz.Pending {
		return id, v
	}
	return a.verify(&c, source)
}

// enter takes a place to hash; false: there is none in time.
func (a *Authenticator) enter(deadline <-chan time.Time) bool {
	select {
	case a.hashing <- struct{}{}:
		return true
	default:
	}
	defer a.waiting.Add(-1)
	if a.waiting.Add(1) > maxWaiting {
		return false
	}
	select {
	case a.hashing <- struct{}{}:
		return true
	case <-deadline:
		return false
	}
}

// verify computes one hash, whoever the user is.
func (a *Authenticator) verify(c *credential, source digest) (*authz.Identity, authz.Verdict) {
	set, name := a.users.Load(), a.seal.user(c)
	u, known := set.users[string(c.user())]
	if !known {
		u = set.standIn(name)
	}
	good := u.hash.matches(c.password()) && known
	now := time.Now()
	if !good {
		a.bySource.failed(source, now)
		a.byUser.failed(name, now)
		return nil, authz.Challenge
	}
	a.cache.put(a.seal.credential(c, source), remembrance{&u.identity, set, now.Add(rememberedFor)}, now)
	return &u.identity, authz.Allow
}

// sourceOf is what failures of an address are counted by: an IPv6 client has a /64 to choose from.
func sourceOf(addr netip.Addr) (d digest) {
	b := addr.As16()
	n := len(b)
	if addr.Is6() && !addr.Is4In6() {
		n = 8
	}
	copy(d[:], b[:n])
	return d
}
