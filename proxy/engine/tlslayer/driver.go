package tlslayer

import (
	"runtime"
	"sync"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Config of a layer. The zero value is ready to use.
type Config struct {
	// Working bounds the handshakes that compute at the same time; 0 is GOMAXPROCS. How many
	// wait for their peers, each with a goroutine, is bounded by the connections: whoever
	// waits must not keep others from their turn.
	Working int
}

// Driver implements engine.Driver. Its shards are engine.Securers.
type Driver struct {
	engine.Driver
	wg      sync.WaitGroup // handshakes; loops add to it, and they end with engine.Driver's Close
	working chan struct{}  // a place for each that computes
}

// New puts a layer on d, which it owns from now on.
func New(d engine.Driver, cfg Config) *Driver {
	if cfg.Working <= 0 {
		cfg.Working = runtime.GOMAXPROCS(0)
	}
	return &Driver{Driver: d, working: make(chan struct{}, cfg.Working)}
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
	d.Driver.Close()
	d.wg.Wait()
}

// handshake runs one, on a goroutine that ends with it or with the connection. Whatever the wire
// has to send is fetched by the loop.
func (d *Driver) handshake(c *conn) {
	defer d.wg.Done()
	c.wire.work()
	err := c.tls.Handshake()
	c.wire.rest()
	d.Post(c.id.Shard(), doneNote{c, err})
}
