package session

import (
	"errors"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// result is what became of looking for the session of a request.
type result uint8

const (
	absent      result = iota // no cookie of the name
	remembered                // good, and known from before
	opened                    // good
	notSealed                 // by nobody who has our keys, or for something else
	unknownKey                // by a key that is not here
	idle                      // not used for too long
	expired                   // at the end of its lifetime
	ahead                     // from a time that is to come: clocks are more than a minute apart
	revoked                   // ended before its time
	ambiguous                 // cookies of several sessions
	unavailable               // no keys, or a list of what is revoked that is too old
	results
)

// resultWords are the results as metrics have them, in their order.
var resultWords = [results]string{"absent", "remembered", "opened", "not_sealed", "unknown_key", "idle", "expired", "ahead", "revoked", "ambiguous", "unavailable"}

func (r result) String() string { return resultWords[r] }

func (r result) verdict() authz.Verdict {
	switch r {
	case absent:
		return authz.Deny
	case remembered, opened:
		return authz.Allow
	case unavailable:
		return authz.Unavailable
	case notSealed, unknownKey, idle, expired, ahead, revoked, ambiguous, results:
		return authz.Challenge
	}
	return authz.Challenge
}

// find looks for the session of a request. Several cookies of the name are possible where a browser keeps partitioned ones
// beside others, or where somebody planted one.
func (k *Keeper) find(j *jar, r *authz.Request, now time.Time) (*openSession, result) {
	if r.Fields == nil {
		return nil, absent
	}
	line, n := r.Fields.Field("cookie")
	if n == 0 {
		return nil, absent
	}
	if n > 1 {
		return nil, ambiguous // RFC 6265 section 5.4 knows one field, and we see one: the other may name somebody else
	}
	value, rest, found := nextCookie(line, j.name)
	if !found {
		return nil, absent
	}
	if k.list.unavailable(now) {
		return nil, unavailable
	}
	o, res := k.open(j, r.Host, value, now)
	for i := 1; ; i++ {
		if value, rest, found = nextCookie(rest, j.name); !found {
			return o, res
		}
		if i == maxNamed {
			return nil, ambiguous
		}
		o2, res2 := k.open(j, r.Host, value, now)
		o, res = choose(o, res, o2, res2)
	}
}

// choose takes one of two cookies of a name. One that does not open is as if it were not there: who cannot seal decides
// nothing. Of one login the later one is taken. Of two logins none is: who planted one would choose who the user is.
func choose(a *openSession, ar result, b *openSession, br result) (*openSession, result) {
	switch aGood, bGood := ar.verdict() == authz.Allow, br.verdict() == authz.Allow; {
	case ar == ambiguous || ar == unavailable:
		return a, ar
	case !bGood && br != unavailable:
		return a, ar
	case !aGood || br == unavailable:
		return b, br
	}
	if a.claims.ID != b.claims.ID {
		return nil, ambiguous
	}
	if b.claims.Seen.After(a.claims.Seen) {
		return b, br
	}
	return a, ar
}

// open returns the session that a cookie is.
func (k *Keeper) open(j *jar, host, value []byte, now time.Time) (*openSession, result) {
	keys := k.ring.keys.Load()
	if keys == nil {
		return nil, unavailable
	}
	o, res := k.memory.get(j, host, value, keys), remembered
	if o == nil {
		plain, key, err := keys.open(j.purpose, string(host), value)
		switch {
		case errors.Is(err, ErrUnknownKey):
			return nil, unknownKey
		case err != nil:
			return nil, notSealed
		}
		o, res = &openSession{jar: j, host: string(host), value: string(value), keys: keys, key: key}, opened
		if err := o.claims.decode(plain); err != nil {
			return nil, notSealed
		}
		o.complete(k)
	}
	if over := k.over(o, now); over != absent {
		return nil, over
	}
	if res == opened {
		k.memory.put(o, now)
	}
	return o, res
}

// complete derives what the stages see.
func (o *openSession) complete(k *Keeper) {
	c := &o.claims
	c.Provider = o.jar.provider
	o.session = c.session(k.end(c))
	o.identity = authz.Identity{Method: c.Provider, User: c.User, Email: c.Email, Groups: c.Groups, Claims: c.Claims, Session: &o.session}
}

// end is when a session is over: what its cookie says, or the lifetime of now if that is shorter.
func (k *Keeper) end(c *Claims) time.Time {
	if end := c.Began.Add(k.lifetime); end.Before(c.Expires) {
		return end
	}
	return c.Expires
}

// over says why a session is; absent: it is not.
func (k *Keeper) over(o *openSession, now time.Time) result {
	switch c := &o.claims; {
	case !now.Before(o.session.Expires):
		return expired
	case k.idle > 0 && now.Sub(c.Seen) >= k.idle:
		return idle
	case c.Seen.Sub(now) > skew || c.Began.Sub(now) > 2*skew:
		return ahead
	case k.list.revoked(&o.session):
		return revoked
	}
	return absent
}
