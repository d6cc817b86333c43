package jwt

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// cache remembers tokens that were verified, by their digest. The zero value of all but limit is empty.
type cache struct {
	limit int

	mu     sync.RWMutex
	tokens map[[sha256.Size]byte]*verified
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

// put remembers a token. Where there is no room another one goes: of a few, taken by chance, the first
// that is not good any more, else the last.
func (c *cache) put(key [sha256.Size]byte, v *verified, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens == nil {
		c.tokens = map[[sha256.Size]byte]*verified{}
	}
	if len(c.tokens) >= c.limit {
		looks, other := 8, key
		for k, old := range c.tokens { // in an order by chance
			other = k
			if looks--; looks == 0 || !now.Before(old.until) || old.keys != old.from.Current() {
				break
			}
		}
		delete(c.tokens, other)
	}
	c.tokens[key] = v
}
