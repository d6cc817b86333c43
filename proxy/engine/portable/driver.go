package portable

import (
	"context"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/internal/synshed"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Config of a driver. The zero value is ready to use.
type Config struct {
	// Shards is the number of handlers; 0 is GOMAXPROCS.
	Shards int
	// Dial opens upstream connections; nil is a net.Dialer with TCP keepalive 60 s.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Workers bounds the functions of Ask that run at once in each shard; 0 is 64.
	Workers int
	// Flush bounds how long Close waits for the kernel's send queue to empty; 0 is 2 s.
	Flush time.Duration
	// CloseListener closes a listening socket; nil is synshed.Close, which resets no handshake.
	CloseListener func(net.Listener) engine.ListenerEnd
	// AcceptError is told of an accept that failed and is tried again (EMFILE, ...). May be nil.
	AcceptError func(listener int, err error)
}

// Driver implements engine.Driver.
type Driver struct {
	cfg    Config
	shards []*shard

	ctx     context.Context // ends with Close; dials derive from it
	cancel  context.CancelFunc
	wg      sync.WaitGroup // every goroutine of the driver
	cookies synshed.CookieWatch

	mu        sync.Mutex // guards listeners and closed
	listeners map[int]*listener
	closed    bool
}

// New makes a driver. Close releases it.
func New(cfg Config) *Driver {
	if cfg.Shards <= 0 {
		cfg.Shards = runtime.GOMAXPROCS(0)
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{KeepAlive: 60 * time.Second}).DialContext
	}
	if cfg.Workers <= 0 {
		cfg.Workers = 64
	}
	if cfg.Flush <= 0 {
		cfg.Flush = 2 * time.Second
	}
	d := &Driver{cfg: cfg, listeners: map[int]*listener{}}
	if cfg.CloseListener == nil {
		d.cfg.CloseListener = d.shedAndClose
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// Start implements engine.Driver.
func (d *Driver) Start(newHandler func(engine.Shard) engine.Handler) {
	for i := range d.cfg.Shards {
		s := &shard{d: d, index: i, wake: make(chan struct{}, 1), workers: make(chan struct{}, d.cfg.Workers)}
		d.shards = append(d.shards, s)
	}
	for _, s := range d.shards {
		s.mu.Lock()
		s.now = time.Now()
		s.h = newHandler(s)
		s.mu.Unlock()
		d.wg.Add(1)
		go s.serve() // ends with Close
	}
	d.cookies.Begin()
	d.wg.Add(1)
	go d.watchCookies() // ends with Close
}

// watchCookies reads until the driver closes. Owner: Driver.
func (d *Driver) watchCookies() {
	defer d.wg.Done()
	d.cookies.Run(d.ctx)
}

// shedAndClose closes a TCP listener without resetting a handshake where the
// platform allows it. The accept loop runs on meanwhile and empties the queue.
func (d *Driver) shedAndClose(ln net.Listener) engine.ListenerEnd {
	r := synshed.Close(context.WithoutCancel(d.ctx), ln, d.cookies.Older())
	return engine.ListenerEnd{Proven: r.Proven, Reason: r.Reason, Residue: r.Residue}
}

// Shards implements engine.Driver.
func (d *Driver) Shards() int { return d.cfg.Shards }

// Post implements engine.Driver.
func (d *Driver) Post(shard int, v any) { d.shards[shard].post(v) }

// Close implements engine.Driver.
func (d *Driver) Close() {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		d.wg.Wait()
		return
	}
	d.closed = true
	for _, l := range d.listeners {
		l.close()
	}
	d.mu.Unlock()
	for _, s := range d.shards {
		s.shutdown()
	}
	d.cancel() // after shutdown: a dial ends with Closed, like everything else
	d.wg.Wait()
}
