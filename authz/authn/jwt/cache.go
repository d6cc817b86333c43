package jwt

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// maxRemembered is the memory of all tokens that are remembered, in bytes: that of 10,000 ordinary ones, or of
// some hundred with a thousand groups each.
const maxRemembered = 16 << 20

// cache remembers tokens that were verified, by their digest. The zero value of all but limit is empty.
type cache struct {
	limit int

	mu     sync.RWMutex
	tokens map[[sha256.Size]byte]*verified
	weight int // of all, in bytes
}

// weigh is the memory of an identity and its place in the cache, in bytes, about.
func weigh(id *authz.Identity) int {
	const place, text, claim = 400, 16, 64 // beside what the strings hold
	n := place + len(id.User) + len(id.Email)
	for _, g := range id.Groups {
		n += text + max(len(g), 8)
	}
	for name, values := range id.Claims {
		n += claim + len(name)
		for _, v := range values {
			n += 2*text + max(len(v), 8) // a list grows by doubling
		}
	}
	return n
}

// get answers for a token that is remembered; Pending: it is not.
func (c *cache) get(key [sha256.Size]byte, now time.Time) (*authz.Identity, authz.Verdict) {
	c.mu.RLock()
	v := c.tokens[key]
	c.mu.RUnlock()
	switch {
	case v == nil || v.keys != v.from.Current():
		return nil, authz.Pending
	case !now.Before(v.until):
		return nil, authz.Challenge
	}
	return v.identity, authz.Allow
}

// put remembers a token. Where there is no room others go: each time, of a few, taken by chance, the first
// that is not good any more, else the last.
func (c *cache) put(key [sha256.Size]byte, v *verified, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens == nil {
		c.tokens = map[[sha256.Size]byte]*verified{}
	}
	weight := weigh(v.identity)
	if old := c.tokens[key]; old != nil {
		c.forget(key, old)
	}
	for len(c.tokens) > 0 && (len(c.tokens) >= c.limit || c.weight+weight > maxRemembered) {
		looks := 8
		var other [sha256.Size]byte
		for k, old := range c.tokens { // in an order by chance
			other = k
			if looks--; looks == 0 || !now.Before(old.until) || old.keys != old.from.Current() {
				break
			}
		}
		c.forget(other, c.tokens[other])
	}
	c.tokens[key], c.weight = v, c.weight+weight
}

func (c *cache) forget(key [sha256.Size]byte, v *verified) {
	delete(c.tokens, key)
	c.weight -= weigh(v.identity)
}
