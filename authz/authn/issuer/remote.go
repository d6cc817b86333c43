package issuer

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// RemoteConfig says where an issuer publishes its keys. The zero values of all but URL or Fetch are defaults.
type RemoteConfig struct {
	URL string // https, or http to this host
	// Fetch gets the keys in a way of its own, within the context; URL, Transport and Timeout are not looked at then.
	Fetch       func(context.Context) (*KeySet, error)
	Known       *KeySet           // in force before the first fetch, from a process before; nil: none
	Refresh     time.Duration     // between two fetches; default 10m
	MinInterval time.Duration     // between two that somebody asks for; default 30s
	Timeout     time.Duration     // of one; default 10s
	Transport   http.RoundTripper // default: one of its own
	Changed     func(*KeySet)     // called by Run after other keys have come into force; may be nil
}

// Remote has the keys of an issuer from a URL (RFC 7517). Run fetches them.
type Remote struct {
	config RemoteConfig
	keys   atomic.Pointer[KeySet]
	want   chan struct{} // somebody waits for a fetch
	close  func()        // what Fetch leaves open; nil: nothing

	mu   sync.Mutex
	held time.Time     // until then nobody has keys fetched by asking; zero: somebody may
	err  error         // of the last fetch
	done chan struct{} // closed by the next fetch that ends
}

var _ Keys = (*Remote)(nil)

// NewRemote returns keys that are not fetched yet.
func NewRemote(c RemoteConfig) (*Remote, error) {
	if c.Refresh == 0 {
		c.Refresh = 10 * time.Minute
	}
	if c.MinInterval == 0 {
		c.MinInterval = 30 * time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	r := &Remote{config: c, want: make(chan struct{}, 1), done: make(chan struct{})}
	r.keys.Store(c.Known)
	if c.Fetch != nil {
		return r, nil
	}
	if err := CheckURL(c.URL); err != nil {
		return nil, err
	}
	client := NewClient(c.Timeout, c.Transport)
	r.config.Fetch = func(ctx context.Context) (*KeySet, error) { return GetKeys(ctx, client, c.URL) }
	r.close = client.CloseIdleConnections
	return r, nil
}

// URL is where the keys are; empty: Fetch knows.
func (r *Remote) URL() string { return r.config.URL }

// Current returns the keys of the last good fetch.
func (r *Remote) Current() *KeySet { return r.keys.Load() }

// Err is what went wrong in the last fetch; nil: nothing, or none was made yet.
func (r *Remote) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Run fetches the keys at once, from time to time, and when they are asked for, until ctx ends. It is
// called once.
func (r *Remote) Run(ctx context.Context) {
	if r.close != nil {
		defer r.close()
	}
	next := time.Now()
	for failures := 0; ; {
		timer, asked := time.NewTimer(time.Until(next)), false
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-r.want:
			timer.Stop()
			if !r.due() {
				continue
			}
			asked = time.Now().Before(next)
		}
		wait := r.config.Refresh
		if r.fetch(ctx, failures, asked) {
			failures = 0
		} else {
			wait = min(r.pauseAfter(failures), wait)
			failures++
		}
		next = time.Now().Add(wait + time.Duration(rand.Int64N(int64(wait)/10+1)))
	}
}

func (r *Remote) due() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !time.Now().Before(r.held)
}

// pauseAfter is how long no fetch is made after one, of which so many failed before. While no keys are known yet it is short at first.
func (r *Remote) pauseAfter(failures int) time.Duration {
	if r.keys.Load() == nil {
		return min(time.Second<<min(failures, 10), r.config.MinInterval)
	}
	return min(r.config.MinInterval<<min(failures, 10), r.config.Refresh)
}

// fetch makes one. One that went well and nobody asked for holds nobody up: an issuer may have rotated its keys just after it.
func (r *Remote) fetch(ctx context.Context, failures int, asked bool) (good bool) {
	set, err := r.config.Fetch(ctx)
	old := r.keys.Load()
	changed := err == nil && (old == nil || old.text != set.text)
	if changed {
		r.keys.Store(set)
	}
	r.mu.Lock()
	if r.err = err; asked || err != nil {
		r.held = time.Now().Add(min(r.pauseAfter(failures), r.config.MinInterval))
	}
	select {
	case <-r.want: // whoever asked meanwhile waited for this one
	default:
	}
	close(r.done)
	r.done = make(chan struct{})
	r.mu.Unlock()
	if changed && r.config.Changed != nil {
		r.config.Changed(set)
	}
	return err == nil
}

// Refetch has Run fetch the keys, unless somebody had it do so within MinInterval, or it went wrong within that, and waits for it.
func (r *Remote) Refetch(ctx context.Context) bool {
	r.mu.Lock()
	done, lately, good := r.done, time.Now().Before(r.held), r.err == nil
	r.mu.Unlock()
	if lately {
		return good
	}
	select {
	case r.want <- struct{}{}:
	default: // somebody has asked already
	}
	select {
	case <-done:
	case <-ctx.Done():
		return false
	}
	return r.Err() == nil
}
