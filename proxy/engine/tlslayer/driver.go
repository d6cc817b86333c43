package tlslayer

import (
	"runtime"
	"sync"
	"sync/atomic"

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
	wg      sync.WaitGroup // workers; loops add to it, and they end with engine.Driver's Close
	working chan struct{}  // a place for each that computes
	next    chan *conn     // to a worker that rests
	resting atomic.Int32
	over    chan struct{} // closed by Close, once no handshake can begin any more
	closing sync.Once
}

// New puts a layer on d, which it owns from now on.
func New(d engine.Driver, cfg Config) *Driver {
	if cfg.Working <= 0 {
		cfg.Working = runtime.GOMAXPROCS(0)
	}
	return &Driver{Driver: d, working: make(chan struct{}, cfg.Working), next: make(chan *conn), over: make(chan struct{})}
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
	d.closing.Do(func() { close(d.over) })
	d.wg.Wait()
}

// maxResting is how many workers are kept. A handshake needs a stack of tens of kilobytes, and a new goroutine
// would copy its own several times until it has that.
const maxResting = 16

// begin has a worker run a handshake.
func (d *Driver) begin(c *conn) {
	select {
	case d.next <- c:
	default:
		d.wg.Add(1)
		go d.work(c) // joined by Close
	}
}

// work runs a handshake, and the next ones. It ends where enough others rest, or with the driver.
func (d *Driver) work(c *conn) {
	defer d.wg.Done()
	for c != nil {
		d.handshake(c)
		c = d.rest()
	}
}

// rest waits for the next handshake; nil: this worker is not needed.
func (d *Driver) rest() *conn {
	defer d.resting.Add(-1)
	if d.resting.Add(1) > maxResting {
		return nil
	}
	select {
	case c := <-d.next:
		return c
	case <-d.over:
		return nil
	}
}

// handshake runs one, to its end or that of the connection. Whatever the wire has to send is fetched by the loop.
func (d *Driver) handshake(c *conn) {
	c.wire.work()
	err := c.tls.Handshake()
	c.wire.rest()
	d.Post(c.id.Shard(), doneNote{c, err})
}
