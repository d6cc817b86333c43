package origin

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
)

// generation is one server of an origin, and the listener that feeds it.
type generation struct {
	server  http.Server
	number  int
	conns   chan net.Conn
	addr    net.Addr
	once    sync.Once
	gone    chan struct{} // closed by stopAccepting
	leaving atomic.Bool   // each response says goodbye
	open    atomic.Int64  // connections, without those that were taken over by a tunnel
	done    chan struct{} // closed when Serve returned
	sockets sync.WaitGroup
	mu      sync.Mutex // guards taken
	taken   map[net.Conn]struct{}
}

// Accept, Close and Addr make it a net.Listener for its own server.
func (g *generation) Accept() (net.Conn, error) {
	select {
	case c := <-g.conns:
		return c, nil
	case <-g.gone:
		return nil, net.ErrClosed
	}
}

func (g *generation) Close() error   { g.stopAccepting(); return nil }
func (g *generation) Addr() net.Addr { return g.addr }

func (g *generation) stopAccepting() { g.once.Do(func() { close(g.gone) }) }

func (o *Origin) generation(number int) *generation {
	g := &generation{number: number, conns: make(chan net.Conn), addr: o.web.Addr(), gone: make(chan struct{}),
		done: make(chan struct{}), taken: map[net.Conn]struct{}{}}
	g.server.Handler = g.handler(&o.ledger)
	g.server.Protocols = new(http.Protocols)
	g.server.Protocols.SetHTTP1(true)
	g.server.Protocols.SetUnencryptedHTTP2(true)
	g.server.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			g.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			g.open.Add(-1)
		case http.StateActive, http.StateIdle:
		}
	}
	go func() { // ends with stopAccepting; joined by shutdown or close
		defer close(g.done)
		_ = g.server.Serve(g)
	}()
	return g
}

// head is what every response begins with.
func (g *generation) head(w http.ResponseWriter) {
	w.Header().Set(GenerationField, strconv.Itoa(g.number))
	if g.leaving.Load() {
		w.Header().Set("Connection", "close")
	}
}

// shutdown waits for what is under way, tunnels too; what is left when ctx ends is closed.
func (g *generation) shutdown(ctx context.Context) error {
	err := g.server.Shutdown(ctx)
	tunnels := make(chan struct{})
	go func() { g.sockets.Wait(); close(tunnels) }() // ends with the tunnels, which close below ends
	select {
	case <-tunnels:
	case <-ctx.Done():
		err = ctx.Err()
	}
	g.close()
	<-tunnels
	return err
}

// close ends it at once.
func (g *generation) close() {
	g.stopAccepting()
	_ = g.server.Close()
	g.mu.Lock()
	for c := range g.taken {
		_ = c.Close()
	}
	g.mu.Unlock()
	g.sockets.Wait()
	<-g.done
}
