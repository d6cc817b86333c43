package session

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// The bounds of what is remembered.
const (
	maxRemembered       = 10_000
	maxRememberedWeight = 16 << 20 // bytes, of all
)

// openSession is a cookie that was opened. It is immutable.
type openSession struct {
	jar         *jar
	host, value string
	keys        *keySet // by which; others may not open it
	key         int     // index of the one
	claims      Claims
	identity    authz.Identity
	session     authz.Session // of the identity
}

// cache remembers cookies that were opened. They are found by a hash with a secret of the process and compared as a whole, so
// that no other cookie passes for one. The zero value is empty.
type cache struct {
	once sync.Once
	seed maphash.Seed

	mu     sync.RWMutex
	known  map[uint64]*openSession
	weight int // of all, in bytes
}

func (c *cache) hash(value []byte) uint64 {
	c.once.Do(func() { c.seed = maphash.MakeSeed() })
	return maphash.Bytes(c.seed, value)
}

// get returns what a cookie was opened to, by the same keys and for the same host; nil: it is not remembered.
func (c *cache) get(j *jar, host, value []byte, keys *keySet) *openSession {
	h := c.hash(value)
	c.mu.RLock()
	o := c.known[h]
	c.mu.RUnlock()
	if o == nil || o.keys != keys || o.jar.provider != j.provider || o.host != string(host) || o.value != string(value) {
		return nil
	}
	return o
}

// put remembers a cookie. Where there is no room others go: each time, of a few, taken by chance, the first that is not
// good any more, else the last.
func (c *cache) put(o *openSession, now time.Time) {
	h := c.hash([]byte(o.value))
	weight := o.weigh()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[uint64]*openSession{}
	}
	c.forget(h)
	for len(c.known) > 0 && (len(c.known) >= maxRemembered || c.weight+weight > maxRememberedWeight) {
		looks, other := 8, uint64(0)
		for k, old := range c.known { // in an order by chance
			other = k
			if looks--; looks == 0 || old.keys != o.keys || !now.Before(old.session.Expires) {
				break
			}
		}
		c.forget(other)
	}
	c.known[h], c.weight = o, c.weight+weight
}

func (c *cache) forget(h uint64) {
	if o := c.known[h]; o != nil {
		delete(c.known, h)
		c.weight -= o.weigh()
	}
}

// weigh is the memory of a cookie and its place in the cache, in bytes, about.
func (o *openSession) weigh() int {
	const place, text = 800, 16 // beside what the strings hold
	n := place + len(o.value) + len(o.value)*3/4 + text*len(o.claims.Groups)
	for _, values := range o.claims.Claims {
		n += 64 + text*len(values)
	}
	return n
}
