//go:build linux

package epoll

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/internal/synshed"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Config of a driver. The zero value is ready to use.
type Config struct {
	// Shards is the number of loops; 0 is GOMAXPROCS.
	Shards int
	// Workers bounds the functions of Ask that run at once in each shard; 0 is 64.
	Workers int
	// Flush bounds how long Close waits for the kernel's send queue to empty; 0 is 2 s.
	Flush time.Duration
	// AcceptError is told of an accept that failed and is tried again (EMFILE, ...). Called on a
	// loop: it must not block. May be nil.
	AcceptError func(listener int, err error)
}

// Driver implements engine.Driver.
type Driver struct {
	cfg   Config
	loops []*loop

	ctx     context.Context // ends with Close; dials of names derive from it
	cancel  context.CancelFunc
	wg      sync.WaitGroup // every goroutine of the driver
	cookies synshed.CookieWatch

	mu        sync.Mutex // guards listeners and closed
	listeners map[int]*listener
	closed    bool
	gone      chan struct{} // closed once, by Close, when no loop takes a post any more
}

// New makes a driver; Close releases it. An error means that the system has no
// descriptor left, or no epoll (a sandbox).
func New(cfg Config) (*Driver, error) {
	if cfg.Shards <= 0 {
		cfg.Shards = runtime.GOMAXPROCS(0)
	}
	cfg.Shards = min(cfg.Shards, engine.MaxShards)
	if cfg.Workers <= 0 {
		cfg.Workers = 64
	}
	if cfg.Flush <= 0 {
		cfg.Flush = 2 * time.Second
	}
	d := &Driver{cfg: cfg, listeners: map[int]*listener{}, gone: make(chan struct{})}
	for i := range cfg.Shards {
		l, err := newLoop(d, i)
		if err != nil {
			for _, l := range d.loops {
				l.release()
			}
			return nil, fmt.Errorf("start an event loop: %w", err)
		}
		d.loops = append(d.loops, l)
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d, nil
}

// Start implements engine.Driver.
func (d *Driver) Start(newHandler func(engine.Shard) engine.Handler) {
	for _, l := range d.loops {
		l.now = time.Now()
		l.h = newHandler(l)
	}
	for _, l := range d.loops {
		l.running = true
		d.wg.Add(1)
		go l.run() // ends with Close
	}
	d.cookies.Begin()
	d.wg.Add(1)
	go d.watchCookies() // ends with Close
}

func (d *Driver) watchCookies() {
	defer d.wg.Done()
	d.cookies.Run(d.ctx)
}

// Shards implements engine.Driver.
func (d *Driver) Shards() int { return d.cfg.Shards }

// Post implements engine.Driver.
func (d *Driver) Post(shard int, v any) { d.loops[shard].post(v) }

// Close implements engine.Driver.
func (d *Driver) Close() {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		d.wg.Wait()
		return
	}
	d.closed = true
	listeners := d.listeners
	d.listeners = nil
	d.mu.Unlock()
	for _, ln := range listeners {
		ln.stop()
	}
	for _, l := range d.loops {
		l.post(shutdownNote{})
	}
	d.cancel()
	d.wg.Wait()
	close(d.gone)
	for _, l := range d.loops {
		l.release()
	}
	for _, ln := range listeners {
		ln.close()
	}
}
