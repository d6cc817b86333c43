package session

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// The defaults, and the difference between the clocks of two replicas that changes nothing.
const (
	DefaultIdle     = 8 * time.Hour
	DefaultLifetime = 24 * time.Hour
	skew            = time.Minute
)

// Config says how sessions are kept.
type Config struct {
	Ring        *Ring            // never nil
	Idle        time.Duration    // a session ends after so long without a request; zero: DefaultIdle; negative: never by that
	Lifetime    time.Duration    // and in any case; zero: DefaultLifetime
	Revocations *List            // zero: one in memory
	Now         func() time.Time // zero: time.Now
}

// Keeper begins, finds, renews and ends sessions. Safe for concurrent use.
type Keeper struct {
	ring           *Ring
	idle, lifetime time.Duration
	list           *List
	now            func() time.Time

	memory         cache
	counts         [results]atomic.Uint64
	begun, renewed atomic.Uint64

	mu   sync.RWMutex
	jars map[string]*jar // by provider; guarded by mu
}

var _ authz.Sessions = (*Keeper)(nil)

// jar is where the session of a provider is: the name of the cookie, and what it is sealed for. It is immutable.
type jar struct {
	provider, name string
	purpose        Purpose
}

// New returns a keeper. It has no goroutine: who has a List in a file runs that.
func New(c Config) *Keeper {
	if c.Idle == 0 {
		c.Idle = DefaultIdle
	}
	if c.Lifetime <= 0 {
		c.Lifetime = DefaultLifetime
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Revocations == nil {
		c.Revocations = NewList(ListConfig{Lifetime: c.Lifetime, Now: c.Now})
	}
	k := &Keeper{ring: c.Ring, idle: c.Idle, lifetime: c.Lifetime, list: c.Revocations, now: c.Now, jars: map[string]*jar{}}
	return k
}

// Ring returns the keys, for others that seal: each for a Purpose of its own.
func (k *Keeper) Ring() *Ring { return k.ring }

// Revocations returns the list of what was ended before its time.
func (k *Keeper) Revocations() *List { return k.list }

// jar returns that of a provider. Providers come from the configuration: there are few.
func (k *Keeper) jar(provider string) *jar {
	k.mu.RLock()
	j := k.jars[provider]
	k.mu.RUnlock()
	if j == nil {
		j = &jar{provider, CookieName(provider), Purpose("session " + provider)}
		k.mu.Lock()
		k.jars[provider] = j
		k.mu.Unlock()
	}
	return j
}

// ErrRevoked says that a login is over before it began: its provider's session was ended meanwhile.
var ErrRevoked = errors.New("session: it was ended while it began")

// Begin returns the Set-Cookie field value that begins a session on a host (authz.Request.Host). It sets ID, Began, Seen and
// Expires of the claims; an earlier Expires stays. The error is a *TooLarge, ErrRevoked, ErrNoKeys, or says what is missing.
func (k *Keeper) Begin(host string, c Claims) (setCookie string, err error) {
	if c.Provider == "" || c.Issuer == "" || c.Subject == "" || c.User == "" {
		return "", errors.New("session: a session needs a provider, an issuer, a subject and a user")
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand
	now := k.now()
	c.ID, c.Seen = base64.RawURLEncoding.EncodeToString(id[:]), now
	// What ended sessions of the user until a moment that is still to come meant those that had begun.
	c.Began = k.list.after(c.Issuer, c.Subject, now)
	if end := now.Add(k.lifetime); c.Expires.IsZero() || c.Expires.After(end) {
		c.Expires = end
	}
	j := k.jar(c.Provider)
	if of := c.session(c.Expires); k.list.revoked(&of) || c.Began.After(now.Add(2*skew)) {
		return "", ErrRevoked
	}
	if setCookie, err = k.seal(j, host, &c, now); err == nil {
		k.begun.Add(1)
	}
	return setCookie, err
}

// seal makes a Set-Cookie field value of claims.
func (k *Keeper) seal(j *jar, host string, c *Claims, now time.Time) (string, error) {
	plain := c.encode(make([]byte, 0, 512))
	if size := cookieSize(j.name, len(plain)); size > maxCookie {
		return "", c.tooLarge(size, maxCookie)
	}
	out := make([]byte, 0, cookieSize(j.name, len(plain)))
	out = append(append(out, j.name...), '=')
	out, err := k.ring.Seal(out, j.purpose, host, plain)
	if err != nil {
		return "", err
	}
	age := c.Expires.Sub(now)
	if k.idle > 0 {
		age = min(age, k.idle)
	}
	return string(appendFlags(out, age)), nil
}

// Clear returns the Set-Cookie field value that has a browser forget the session of a provider. It does not end it: Revoke does.
func (k *Keeper) Clear(provider string) (setCookie string) {
	return string(appendFlags([]byte(CookieName(provider)+"="), 0))
}

// Try finds the session of a request, as Authenticator.Try does: Deny without a cookie; Challenge with one that does not open,
// or whose session is over; Unavailable without keys, or where the list of what was revoked is too old and its owner said so.
// It allocates nothing for a cookie that is remembered. Pending: it is by a key that is not here, and may be in the file by now;
// Resolve looks.
func (k *Keeper) Try(provider string, r *authz.Request) (*authz.Identity, authz.Verdict) {
	o, res := k.find(k.jar(provider), r, k.now())
	if res == unknownKey && k.ring.Stale() {
		return nil, authz.Pending
	}
	return k.answer(o, res)
}

// Resolve is Try after a look at the file of keys, for which it may block.
func (k *Keeper) Resolve(provider string, r *authz.Request) (*authz.Identity, authz.Verdict) {
	k.ring.Refresh()
	return k.answer(k.find(k.jar(provider), r, k.now()))
}

func (k *Keeper) answer(o *openSession, res result) (*authz.Identity, authz.Verdict) {
	if res != absent {
		k.counts[res].Add(1)
	}
	if v := res.verdict(); v != authz.Allow {
		return nil, v
	}
	return &o.identity, authz.Allow
}

// Renew returns the Set-Cookie field value that goes out with the response to a request of an identity which Try found for it;
// "": nothing is due. It is due when a tenth of the idle time has passed, or when another key seals by now.
func (k *Keeper) Renew(id *authz.Identity, provider string, r *authz.Request) string {
	if id == nil || id.Session == nil {
		return ""
	}
	j, now := k.jar(provider), k.now()
	o, res := k.find(j, r, now)
	if res.verdict() != authz.Allow || o.claims.ID != id.Session.ID {
		return ""
	}
	if due := k.idle > 0 && now.Sub(o.claims.Seen) >= k.idle/10; !due && o.key == o.keys.sealing(now) {
		return ""
	}
	c := o.claims
	c.Seen = now
	setCookie, err := k.seal(j, string(r.Host), &c, now)
	if err != nil {
		return "" // no keys: there is nothing to renew with. It fits, since it has fitted
	}
	k.renewed.Add(1)
	return setCookie
}

// Ended tells why a session is over. It knows nothing of its idle time: a stream is in use while it is open.
func (k *Keeper) Ended(s *authz.Session, now time.Time) string {
	switch {
	case k.list.revoked(s):
		return "session_revoked"
	case !now.Before(s.Expires):
		return "session_expired"
	}
	return ""
}

// Revoke ends sessions before their time. When it returns without an error, that survives a restart, and other processes
// with the same list learn of it; with one, it counts here and is retried: see List.Add.
func (k *Keeper) Revoke(ctx context.Context, r Revocation) error {
	if err := k.list.Add(ctx, r); err != nil {
		return fmt.Errorf("revoke sessions: %w", err)
	}
	return nil
}

// OnChange has f called, on any goroutine, after sessions were revoked here or elsewhere. It replaces what was set before.
func (k *Keeper) OnChange(f func()) { k.list.OnChange(f) }
