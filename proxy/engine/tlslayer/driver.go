package tlslayer

import (
	"runtime"
	"sync"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Config of a layer. The zero value is ready to use.
type Config struct {
	// Handshakes bounds the handshakes under way, and with them the goroutines; others wait for
	// their turn. 0 is 4,096.
	Handshakes int
	// Working bounds the handshakes that compute at the same time; 0 is GOMAXPROCS.
	Working int
}

// Driver implements engine.Driver. Its shards are engine.Securers.
type Driver struct {
	engine.Driver
	wg      sync.WaitGroup // handshakes
	working chan struct{}  // a place for each that computes

	mu     sync.Mutex // guards free and queue
	free   int        // places for handshakes
	queue  []*conn    // who waits for one, in the order of arrival
	closed bool
}

// New puts a layer on d, which it owns from now on.
func New(d engine.Driver, cfg Config) *Driver {
	if cfg.Handshakes <= 0 {
		cfg.Handshakes = 4096
	}
	if cfg.Working <= 0 {
		cfg.Working = runtime.GOMAXPROCS(0)
	}
	return &Driver{Driver: d, free: cfg.Handshakes, working: make(chan struct{}, cfg.Working)}
}

// Start implements engine.Driver.
func (d *Driver) Start(newHandler func(engine.Shard) engine.Handler) {
	d.Driver.Start(func(sh engine.Shard) engine.Handler {
		s := &shard{Shard: sh, d: d}
		s.h = newHandler(s)
		return s
	})
}

// Close implements engine.Driver. The end of a connection ends its handshake.
func (d *Driver) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.Driver.Close()
	d.wg.Wait()
}

// begin runs the handshake of c, now or when a place is free.
func (d *Driver) begin(c *conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.free == 0 {
		d.queue = append(d.queue, c)
		return
	}
	d.free--
	d.run(c)
}

// run starts the goroutine of a handshake that has a place. Under mu.
func (d *Driver) run(c *conn) {
	if d.closed {
		return // its Closed was said, or will be
	}
	d.wg.Add(1)
	go d.handshake(c) // ends with the handshake, or with the connection
}

// ended gives the place of a handshake to the next.
func (d *Driver) ended() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.queue) > 0 {
		c := d.queue[0]
		d.queue[0] = nil
		if d.queue = d.queue[1:]; len(d.queue) == 0 {
			d.queue = nil
		}
		if !c.wire.gone() {
			d.run(c)
			return
		}
	}
	d.free++
}

// handshake runs one. Whatever the wire has to send is fetched by the loop.
func (d *Driver) handshake(c *conn) {
	defer d.wg.Done()
	c.wire.work()
	err := c.tls.Handshake()
	c.wire.rest()
	d.ended()
	d.Post(c.id.Shard(), doneNote{c, err})
}
