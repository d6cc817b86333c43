package basic

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

type digest = [sha256.Size]byte

// seal is HMAC-SHA256 (RFC 2104) under a key of this process, without allocation. What is kept in memory of a
// password is no use to anybody without the key.
type seal struct {
	inner, outer [sha256.BlockSize]byte // the key, padded
}

func (s *seal) key(key [sha256.BlockSize]byte) {
	for i, b := range key {
		s.inner[i], s.outer[i] = b^0x36, b^0x5c
	}
}

// The parts of a message are told apart by its first byte; all but the last have a fixed length.
func (s *seal) credential(c *credential, source digest) digest {
	return s.of('c', source, c.text[:c.n])
}

func (s *seal) user(c *credential) digest { return s.of('u', digest{}, c.user()) }

func (s *seal) of(kind byte, source digest, text []byte) digest {
	var room [sha256.BlockSize + 1 + sha256.Size + maxCredential]byte
	b := append(append(append(room[:0], s.inner[:]...), kind), source[:]...)
	sum := sha256.Sum256(append(b, text...))
	return sha256.Sum256(append(append(room[:0], s.outer[:]...), sum[:]...))
}

// remembrance is a credential that was verified.
type remembrance struct {
	identity *authz.Identity
	set      *userSet // by which it was
	until    time.Time
}

// cache has credentials that were verified, by their seal. The zero value is empty.
type cache struct {
	mu    sync.Mutex
	known map[digest]remembrance
}

// get returns the identity of a credential that is remembered and good by this set, else nil.
func (c *cache) get(key digest, set *userSet, now time.Time) *authz.Identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.known[key]
	if r.set != set || !now.Before(r.until) {
		return nil
	}
	return r.identity
}

func (c *cache) put(key digest, r remembrance, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[digest]remembrance{}
	}
	makeRoom(c.known, key, maxRemembered, func(old remembrance) bool { return old.set != r.set || !now.Before(old.until) })
	c.known[key] = r
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.known)
}

// failures counts those of each key in a window of failureWindow from the first. The zero value of all but limit
// has none.
type failures struct {
	limit int // of a window: then its key is throttled until the window ends

	mu      sync.Mutex
	windows map[digest]window
}

type window struct {
	until time.Time
	count int
}

func (f *failures) throttled(key digest, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.windows[key]
	return w.count >= f.limit && now.Before(w.until)
}

func (f *failures) failed(key digest, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.windows == nil {
		f.windows = map[digest]window{}
	}
	w := f.windows[key]
	if !now.Before(w.until) {
		makeRoom(f.windows, key, maxThrottled, func(old window) bool { return !now.Before(old.until) })
		w = window{until: now.Add(failureWindow)}
	}
	w.count++
	f.windows[key] = w
}

// makeRoom drops an entry of a full table that key is not in: of a few, taken by chance, the first that is over,
// else the last.
func makeRoom[V any](table map[digest]V, key digest, limit int, over func(V) bool) {
	if _, there := table[key]; there || len(table) < limit {
		return
	}
	looks := evictionChoice
	var other digest
	for k, v := range table { // in an order by chance
		other = k
		if looks--; looks == 0 || over(v) {
			break
		}
	}
	delete(table, other)
}
