package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/synshed"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Server carries a Core on a driver and listening sockets. It is a service of
// package lifecycle by its shape.
type Server struct {
	*Core
	driver  engine.Driver
	tracker *drain.Tracker
	log     *slog.Logger
	listen  func(ctx context.Context, addr string) (net.Listener, error)

	mu        sync.Mutex // guards what follows
	bound     []net.Listener
	accepting bool
	drained   bool
	receipt   drain.Receipt
}

// ServerConfig is what a Server is made of.
type ServerConfig struct {
	Config
	Driver  engine.Driver
	Tracker *drain.Tracker
	// Listen binds one address; nil: synshed.Listen.
	Listen func(ctx context.Context, addr string) (net.Listener, error)
	Log    *slog.Logger // nil: nowhere
}

// NewServer makes a server; Start binds.
func NewServer(cfg ServerConfig) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Listen == nil {
		cfg.Listen = listenTCP
	}
	if cfg.Panicked == nil {
		cfg.Panicked = (&panicLog{log: cfg.Log}).note
	}
	s := &Server{driver: cfg.Driver, tracker: cfg.Tracker, log: cfg.Log, listen: cfg.Listen}
	s.Core = NewCore(cfg.Config, cfg.Tracker, cfg.Driver.Post)
	return s
}

func listenTCP(ctx context.Context, addr string) (net.Listener, error) {
	return synshed.Listen(ctx, "tcp", addr)
}

// Name implements lifecycle.Service.
func (s *Server) Name() string { return "proxy" }

// Start binds every listener, or none, and in start mode Refuse begins to accept.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs *multierror.Error
	for _, ln := range s.cfg.Listeners {
		l, err := s.listen(ctx, ln.Address)
		if err != nil {
			errs = multierror.Append(errs, fmt.Errorf("listener %s: %w", ln.Name, err))
			continue
		}
		s.bound = append(s.bound, l)
	}
	if errs != nil {
		errs.ErrorFormat = oneLine
		for _, l := range s.bound {
			l.Close()
		}
		s.bound = nil
		return errs.ErrorOrNil()
	}
	s.driver.Start(s.Handler)
	for i, l := range s.bound {
		s.log.Info("listening", "listener", s.cfg.Listeners[i].Name, "protocol", s.cfg.Listeners[i].Protocol.String(), "address", l.Addr().String())
	}
	if s.cfg.Start == Refuse {
		return s.accept()
	}
	return nil
}

// oneLine joins errors so that they fit into one line of the log.
func oneLine(errs []error) string {
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// accept gives the sockets to the driver, once. Under mu.
func (s *Server) accept() error {
	if s.accepting {
		return nil
	}
	for i, l := range s.bound {
		if err := s.driver.Listen(i, l); err != nil {
			return fmt.Errorf("listener %s: %w", s.cfg.Listeners[i].Name, err)
		}
	}
	s.accepting = true
	return nil
}

// Addr is the address that a listener is bound to; nil before Start.
func (s *Server) Addr(name string) net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, l := range s.bound {
		if s.cfg.Listeners[i].Name == name {
			return l.Addr()
		}
	}
	return nil
}

// Admit opens the gate: first the tracker, so that what the kernel queued meanwhile
// is admitted and not refused.
func (s *Server) Admit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.tracker.Open(); err != nil {
		return err
	}
	s.Admitted()
	return s.accept()
}

// LameDuck begins the goodbye; everything is still accepted.
func (s *Server) LameDuck() { s.tracker.Leave() }

// Drain closes the listeners, joins their accept loops, and waits for everything in
// flight; ctx bounds it all.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	if s.drained {
		s.mu.Unlock()
		return nil
	}
	s.drained = true
	// Stopped while starting: what the kernel holds for us gets its 503 and a close.
	err := s.accept()
	s.mu.Unlock()

	s.tracker.Closing()
	s.closeListeners()
	// Invariant 2: every accept loop is joined before the tracker turns Draining.
	s.Patrol()
	r := s.tracker.Drain(ctx)
	s.Shut()
	// Whoever was never admitted has as long as a head may take, and no longer than the drain.
	wait, cancel := context.WithTimeout(ctx, s.cfg.HeaderTimeout)
	defer cancel()
	if werr := s.AwaitUnadmitted(wait); werr != nil {
		s.log.Warn("connections that were never admitted are closed by force", "connections", s.Unadmitted())
	}
	if rerr := s.Retire(wait); rerr != nil {
		s.log.Warn("idle upstream connections are closed by force", "err", rerr)
	}
	s.mu.Lock()
	s.receipt = r
	s.mu.Unlock()
	return err
}

// DeadlineMoved implements lifecycle.Mover.
func (s *Server) DeadlineMoved(at time.Time) { s.tracker.MoveDeadline(time.Now(), at) }

// closeListeners closes all of them at the same time and notes how each went.
func (s *Server) closeListeners() {
	var wg sync.WaitGroup
	for i := range s.bound {
		wg.Add(1)
		go s.closeListener(i, &wg) // bounded by the driver's close; joined below
	}
	wg.Wait()
}

func (s *Server) closeListener(i int, wg *sync.WaitGroup) {
	defer wg.Done()
	end := s.driver.Unlisten(i)
	name := s.cfg.Listeners[i].Name
	s.tracker.ListenerClosed(name, end.Proven, end.Reason, end.Residue)
	if end.Proven {
		s.log.Info("listener closed", "listener", name, "proven", true)
		return
	}
	s.log.Warn("listener closed; a handshake may have been reset", "listener", name, "proven", false, "reason", end.Reason, "residue", end.Residue)
}

// Receipt is the account of the drain; the zero Receipt before Drain returned.
func (s *Server) Receipt() drain.Receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.receipt
}

// Close releases everything by force.
func (s *Server) Close() error {
	s.driver.Close()
	return nil
}
