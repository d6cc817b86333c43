package origin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Config is where it listens.
type Config struct {
	Web, Raw string // host:port; Raw may be empty
}

// Origin is a running upstream.
type Origin struct {
	ledger ledger
	web    net.Listener
	raw    net.Listener // nil: none

	running sync.WaitGroup // the accept loops, and the tunnels

	mu      sync.Mutex // guards what follows
	current *generation
	number  int
	tunnels map[net.Conn]struct{} // raw ones
	closed  bool
}

// Start listens and serves until Close.
func Start(cfg Config) (*Origin, error) {
	o := &Origin{ledger: ledger{seen: map[string]int{}}, tunnels: map[net.Conn]struct{}{}}
	var err error
	if o.web, err = net.Listen("tcp", cfg.Web); err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	if cfg.Raw != "" {
		if o.raw, err = net.Listen("tcp", cfg.Raw); err != nil {
			_ = o.web.Close()
			return nil, fmt.Errorf("upstream: %w", err)
		}
		o.running.Go(o.acceptRaw) // ends with raw
	}
	o.number = 1
	o.current = o.generation(1)
	o.running.Go(o.acceptWeb) // ends with web
	return o, nil
}

// Web is the address of the HTTP side.
func (o *Origin) Web() string { return o.web.Addr().String() }

// Raw is the address of the echo; empty: there is none.
func (o *Origin) Raw() string {
	if o.raw == nil {
		return ""
	}
	return o.raw.Addr().String()
}

// acceptWeb gives each connection to the server of the moment.
func (o *Origin) acceptWeb() {
	for {
		c, err := o.web.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors: there will be some again
			time.Sleep(10 * time.Millisecond) // a pace for trying again
			continue
		}
		for handed := false; !handed; {
			o.mu.Lock()
			g := o.current
			o.mu.Unlock()
			select {
			case g.conns <- c:
				handed = true
			case <-g.gone: // replaced or closed meanwhile
				o.mu.Lock()
				handed = o.closed
				o.mu.Unlock()
				if handed {
					_ = c.Close()
				}
			}
		}
	}
}

// Generation is the number of the server that takes what comes now.
func (o *Origin) Generation() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.number
}

// goodbyes bounds how long an old server says goodbye on every response before what is
// still idle is closed.
const goodbyes = 3 * time.Second

// Roll puts a new server in place of the present one, behind the same sockets. The old one
// announces it: each response says Connection: close. It returns once nothing of the old
// one is left, or with ctx.
func (o *Origin) Roll(ctx context.Context) error {
	o.mu.Lock()
	old := o.current
	o.number++
	next := o.generation(o.number)
	o.current = next
	o.mu.Unlock()
	old.leaving.Store(true)
	old.stopAccepting()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(goodbyes); old.open.Load() > 0 && time.Now().Before(end); {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
	}
	return old.shutdown(ctx)
}

// Close ends everything at once.
func (o *Origin) Close() {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return
	}
	o.closed = true
	g := o.current
	for c := range o.tunnels {
		_ = c.Close()
	}
	o.mu.Unlock()
	_ = o.web.Close()
	if o.raw != nil {
		_ = o.raw.Close()
	}
	g.close()
	o.running.Wait()
}
