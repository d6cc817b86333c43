package admin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of both servers. They talk to scrapers and operators, so they need no more.
const (
	headTimeout  = 5 * time.Second
	readTimeout  = 10 * time.Second
	writeTimeout = 30 * time.Second // a scrape that stalls longer is cut
	idleTimeout  = 90 * time.Second
	maxHead      = 16 << 10 // bytes
	closeTimeout = 500 * time.Millisecond
)

// web is the shell that both servers are made of: one listener, one http.Server, one
// goroutine that accepts.
type web struct {
	name   string
	server *http.Server
	failed func(service string, err error)
	log    *slog.Logger

	done chan struct{} // closed by serve when it returns; nil before start
	away atomic.Bool   // a successor answers: that the listener closes is no failure
	once sync.Once     // of close
}

func newWeb(name string, h http.Handler, maxConns int, failed func(string, error), log *slog.Logger) *web {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if failed == nil {
		failed = func(string, error) {}
	}
	log = log.With("component", name)
	c := newCrowd(maxConns)
	return &web{name: name, failed: failed, log: log, server: &http.Server{
		Handler:           unread(h),
		ReadHeaderTimeout: headTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHead,
		ConnState:         c.changed,
		// What goes wrong on one of these connections is its client's affair.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
}

// unread does not wait for the rest of a body that nobody reads. net/http would, up to
// readTimeout, before it answers, and the connection would count as busy meanwhile: 256
// of them would keep every probe out.
func unread(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 || r.ProtoMajor == 2 { // a stream is no connection
			h.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Connection", "close")
		rc := http.NewResponseController(w)
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			_ = rc.SetReadDeadline(time.Now()) // a long answer begins before the handler returns
		}
		defer func() { _ = rc.SetReadDeadline(time.Now()) }()
		h.ServeHTTP(w, r)
	})
}

// start serves ln, which it takes over.
func (w *web) start(ln net.Listener) {
	w.done = make(chan struct{})
	w.log.Info("listening", "address", ln.Addr().String())
	// Owned by web; stopped and joined by close.
	go w.serve(ln)
}

func (w *web) serve(ln net.Listener) {
	defer close(w.done)
	if err := w.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) && !(w.away.Load() && errors.Is(err, net.ErrClosed)) {
		w.failed(w.name, err)
	}
}

// yield ends connections with the answer under way, or no more.
func (w *web) yield(on bool) {
	w.away.Store(on)
	w.server.SetKeepAlivesEnabled(!on)
}

// close lets answers under way finish for a moment, then ends everything.
func (w *web) close() (err error) {
	w.once.Do(func() {
		if w.done == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err = w.server.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
			err = w.server.Close() // somebody who does not read is no error of ours
		}
		<-w.done
	})
	return err
}

// ListenTCP binds a host:port as both servers do.
func ListenTCP(ctx context.Context, address string) (net.Listener, error) {
	return listenTCP(ctx, address)
}

// listenTCP binds a host:port. Without a host it is every address of both families.
func listenTCP(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	return lc.Listen(ctx, "tcp", address)
}
