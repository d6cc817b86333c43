package balance

import (
	"net"
	"sync"
	"time"
)

// Config is how it learns and how long that takes.
type Config struct {
	Poll        time.Duration // between two questions to a backend; 0: 50 ms
	Propagation time.Duration // from an answer to when it takes effect
	Blind       bool          // readiness is not asked for
	DialTimeout time.Duration // 0: 5 s
	Fault       func(error)   // the balancer itself failed: no descriptors; nil: nobody is told. Called without a lock held
	Observe     func(Change)  // every change of what is in; nil: nobody. Called without a lock held
}

// Backend is one place to send to.
type Backend struct {
	Name     string
	Web, Raw string // addresses; an empty one takes no connections of that kind
	Ready    string // URL that answers 200 while it is ready
}

// Kind is a port of a backend.
type Kind int

// The kinds.
const (
	Web Kind = iota
	Raw
)

// Change is a backend that comes in or goes out.
type Change struct {
	Backend string
	In      bool
	Learned time.Time // when the balancer was told
	At      time.Time // when it took effect
}

// backend is a Backend with what the balancer thinks of it. Guarded by the balancer's lock.
type backend struct {
	Backend
	in   bool
	left bool          // Gone was told
	gone chan struct{} // closed by Gone
	open int           // connections
	sum  int           // of them, ever
}

// Balancer is running until Close.
type Balancer struct {
	cfg Config

	mu       sync.Mutex // guards what follows
	backends []*backend
	next     int
	routes   map[string]Route
	conns    map[net.Conn]struct{}
	changed  chan struct{} // closed and replaced when a backend comes in or goes out
	doors    []net.Listener
	closed   bool

	buffers sync.Pool // of *[]byte, for directions
	running sync.WaitGroup
	quit    chan struct{} // closed by Close
}

// New makes one without doors and backends.
func New(cfg Config) *Balancer {
	if cfg.Poll == 0 {
		cfg.Poll = 50 * time.Millisecond
	}
	if cfg.DialTimeout == 0 {
		cfg.DialTimeout = 5 * time.Second
	}
	if cfg.Fault == nil {
		cfg.Fault = func(error) {}
	}
	return &Balancer{cfg: cfg, routes: map[string]Route{}, conns: map[net.Conn]struct{}{}, changed: make(chan struct{}), quit: make(chan struct{}),
		buffers: sync.Pool{New: func() any { b := make([]byte, 8<<10); return &b }}}
}

// Add begins to ask a backend; it gets connections once it is ready.
func (b *Balancer) Add(to Backend) {
	be := &backend{Backend: to, gone: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.backends = append(b.backends, be)
	if b.cfg.Blind {
		b.running.Go(func() { b.learn(be, true, be.gone) }) // ends after the propagation
		return
	}
	b.running.Go(func() { b.poll(be) }) // ends with gone or quit
}

// Gone tells that a backend is no more. It is out a propagation later, unless readiness
// has taken it out before.
func (b *Balancer) Gone(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, be := range b.backends {
		if be.Name != name || be.left || b.closed {
			continue
		}
		be.left = true
		close(be.gone)
		b.running.Go(func() { // ends after the propagation
			b.learn(be, false, nil)
			b.mu.Lock()
			defer b.mu.Unlock()
			for i := range b.backends {
				if b.backends[i] == be {
					b.backends = append(b.backends[:i], b.backends[i+1:]...)
					break
				}
			}
		})
		return
	}
}

// learn puts a backend in or out, a propagation from now, unless stop is closed before.
func (b *Balancer) learn(be *backend, in bool, stop <-chan struct{}) {
	learned := time.Now()
	if b.cfg.Propagation > 0 {
		t := time.NewTimer(b.cfg.Propagation)
		defer t.Stop()
		select {
		case <-t.C:
		case <-stop:
			return
		case <-b.quit:
			return
		}
	}
	b.mu.Lock()
	was := be.in
	be.in = in
	c := Change{Backend: be.Name, In: in, Learned: learned, At: time.Now()}
	if was != in {
		close(b.changed)
		b.changed = make(chan struct{})
	}
	b.mu.Unlock()
	if was != in && b.cfg.Observe != nil {
		b.cfg.Observe(c)
	}
}

// In says whether a backend gets connections, and gives a channel that is closed at the
// next change of any.
func (b *Balancer) In(name string) (in bool, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, be := range b.backends {
		if be.Name == name {
			in = be.in
		}
	}
	return in, b.changed
}

// pick is the next backend that is in; false: none is.
func (b *Balancer) pick(kind Kind) (*backend, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.backends {
		b.next = (b.next + 1) % len(b.backends)
		if be := b.backends[b.next]; be.in && be.address(kind) != "" {
			be.open++
			be.sum++
			return be, true
		}
	}
	return nil, false
}

func (be *backend) address(kind Kind) string {
	if kind == Raw {
		return be.Raw
	}
	return be.Web
}

// Close ends everything at once.
func (b *Balancer) Close() {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		close(b.quit)
		for _, d := range b.doors {
			_ = d.Close()
		}
		for c := range b.conns {
			_ = c.Close()
		}
	}
	b.mu.Unlock()
	b.running.Wait()
}
