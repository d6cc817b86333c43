package httpdrain

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/synshed"
)

// Server is an http.Server that stops without losing a request. Make one with Wrap; it
// serves once.
type Server struct {
	inner   *http.Server
	cfg     Config
	tracker *drain.Tracker
	cookies synshed.CookieWatch
	leaving chan struct{} // closed by the first Hurry: the lame duck ends
	cutting chan struct{} // closed by the second: what is left is cut
	running sync.WaitGroup

	mu      sync.Mutex // guards what follows
	hurried int
	http2   map[*h2Conn]bool
}

// ErrCut is the cause of the contexts of requests that the deadline of the drain ends.
var ErrCut = errors.New("the deadline of the drain has passed")

// Wrap makes a server of srv, whose Handler, ConnState and ConnContext it wraps. srv is not
// to be used by itself from then on.
func Wrap(srv *http.Server, cfg Config) *Server {
	cfg = cfg.withDefaults()
	s := &Server{inner: srv, cfg: cfg, tracker: drain.New(cfg.Drain), leaving: make(chan struct{}), cutting: make(chan struct{}),
		http2: map[*h2Conn]bool{}}
	handler := srv.Handler
	if handler == nil {
		handler = http.DefaultServeMux
	}
	srv.Handler = goodbyes{handler}
	state := srv.ConnState
	srv.ConnState = func(c net.Conn, to http.ConnState) {
		if state != nil {
			state(c, to)
		}
		if own := connOf(c); own != nil {
			own.became(to, own != c)
		}
	}
	withContext := srv.ConnContext
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if withContext != nil {
			ctx = withContext(ctx, c)
		}
		if own := connOf(c); own != nil {
			ctx = own.context(ctx)
		}
		return ctx
	}
	return s
}

// Ready answers 200 until the stop begins and 503 from then on: what a balancer should ask.
func (s *Server) Ready() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if state := s.tracker.State(); state != drain.Open {
			http.Error(w, "not ready: "+state.String(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ready\n"))
	})
}

// Tracker is the account of every connection, for metrics and status.
func (s *Server) Tracker() *drain.Tracker { return s.tracker }

// ListenAndServe serves on the address of the http.Server until ctx ends, then drains, and
// returns the account. The error is nil after a stop that ctx asked for, whether or not
// something was cut: see drain.Receipt.Clean.
func (s *Server) ListenAndServe(ctx context.Context) (drain.Receipt, error) {
	ln, err := synshed.Listen(ctx, "tcp", cmp.Or(s.inner.Addr, ":http"))
	if err != nil {
		return drain.Receipt{}, err
	}
	return s.Serve(ctx, ln)
}

// ListenAndServeTLS is ListenAndServe for HTTPS. The files may be empty if the TLSConfig of
// the http.Server has certificates.
func (s *Server) ListenAndServeTLS(ctx context.Context, certFile, keyFile string) (drain.Receipt, error) {
	ln, err := synshed.Listen(ctx, "tcp", cmp.Or(s.inner.Addr, ":https"))
	if err != nil {
		return drain.Receipt{}, err
	}
	return s.ServeTLS(ctx, ln, certFile, keyFile)
}

// Serve is ListenAndServe on a listener, which it owns from now on.
func (s *Server) Serve(ctx context.Context, ln net.Listener) (drain.Receipt, error) {
	return s.run(ctx, ln, s.inner.Serve)
}

// ServeTLS is ListenAndServeTLS on a listener, which it owns from now on.
func (s *Server) ServeTLS(ctx context.Context, ln net.Listener, certFile, keyFile string) (drain.Receipt, error) {
	if err := s.configureHTTP2(); err != nil {
		ln.Close()
		return drain.Receipt{}, err
	}
	return s.run(ctx, ln, func(ln net.Listener) error { return s.inner.ServeTLS(ln, certFile, keyFile) })
}

// run serves, and stops when ctx ends.
func (s *Server) run(ctx context.Context, ln net.Listener, serve func(net.Listener) error) (drain.Receipt, error) {
	if err := s.tracker.Open(); err != nil {
		ln.Close()
		return drain.Receipt{}, errors.Join(err, errors.New("a server serves once"))
	}
	s.cookies.Begin()
	watching, unwatch := context.WithCancel(context.Background())
	s.running.Go(func() { s.cookies.Run(watching) }) // ends with unwatch
	served := make(chan error, 1)
	s.running.Go(func() { served <- serve(&listener{Listener: ln, s: s}) }) // ends with the close of ln
	defer s.running.Wait()
	defer unwatch()

	select {
	case err := <-served: // it broke; what is open is drained all the same
		ln.Close()
		return s.drain(), err
	case <-ctx.Done():
	}
	s.lameDuck()
	s.tracker.Closing()
	end := synshed.Close(context.Background(), ln, s.cookies.Older())
	<-served // the accept loop is joined: whatever was accepted is tracked
	s.tracker.ListenerClosed(ln.Addr().String(), end.Proven, end.Reason, end.Residue)
	s.cfg.Log.Info("draining", "listener_proven", end.Proven, "reason", end.Reason)
	return s.drain(), nil
}

// drain waits for everybody, and releases the http.Server.
func (s *Server) drain() drain.Receipt {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.running.Go(func() { // ends with ctx
		select {
		case <-s.cutting:
			cancel()
		case <-ctx.Done():
		}
	})
	s.tracker.BeginDrain(time.Now(), time.Time{})
	s.tellHTTP2() // who came in the lame duck is told only now
	r := s.tracker.Drain(ctx)
	s.cfg.Log.Info("drained", "receipt", r.String())
	// Nobody is left, so this loses nobody; it runs what RegisterOnShutdown was given. What
	// is stuck is released by force.
	over, done := context.WithCancel(context.Background())
	if !r.Clean() {
		done()
	}
	_ = s.inner.Shutdown(over)
	_ = s.inner.Close()
	done()
	return r
}

// Hurry ends the lame duck; a second call cuts what is left. It is for a second and a third
// signal.
func (s *Server) Hurry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.hurried++; s.hurried {
	case 1:
		close(s.leaving)
	case 2:
		close(s.cutting)
	}
}

// connOf finds our connection under what net/http has.
func connOf(c net.Conn) *conn {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // *tls.Conn
		c = t.NetConn()
	}
	own, _ := c.(*conn)
	return own
}

var _ interface{ NetConn() net.Conn } = (*tls.Conn)(nil)
