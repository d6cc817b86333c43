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
	doors   Doors

	mu      sync.Mutex // guards what follows
	bound   []*bound   // in the order of Config.Listeners
	drained bool
	receipt drain.Receipt
}

// bound is a listening socket. The driver owns l while it accepts.
type bound struct {
	l         net.Listener // nil: yielded, the doors make a new one
	addr      net.Addr
	inherited bool // accepted from only when admitted, whatever the start mode
	accepting bool
}

// Doors are where listening sockets come from, and who else has them. Names are those of
// listeners.
type Doors interface {
	// Open binds an address, or returns the socket that was inherited for the name.
	Open(ctx context.Context, name, addr string, bind func(context.Context) (net.Listener, error)) (ln net.Listener, inherited bool, err error)
	// Again returns a new listener on a socket that the driver has let go of.
	Again(name string) (net.Listener, error)
	// Shared reports whether another process may hold the socket, and Taken whether that
	// is a successor that accepts from it.
	Shared(name string) bool
	Taken(name string) bool
	// Theirs reports whether a predecessor accepts from the socket still. It says so before
	// it stops, by TakeOver.
	Theirs(name string) bool
	// Settle waits until it is known who else keeps the sockets; ctx bounds it.
	Settle(ctx context.Context)
	// Drop lets go of what is kept of the socket, so that closing it closes it.
	Drop(name string)
}

// plainDoors bind and share nothing.
type plainDoors struct{}

func (plainDoors) Open(ctx context.Context, _, _ string, bind func(context.Context) (net.Listener, error)) (net.Listener, bool, error) {
	ln, err := bind(ctx)
	return ln, false, err
}
func (plainDoors) Again(string) (net.Listener, error) { return nil, net.ErrClosed }
func (plainDoors) Shared(string) bool                 { return false }
func (plainDoors) Taken(string) bool                  { return false }
func (plainDoors) Theirs(string) bool                 { return false }
func (plainDoors) Settle(context.Context)             {}
func (plainDoors) Drop(string)                        {}

// ServerConfig is what a Server is made of.
type ServerConfig struct {
	Config
	Driver  engine.Driver
	Tracker *drain.Tracker
	Doors   Doors        // nil: every socket is bound here, and nobody else's
	Log     *slog.Logger // nil: nowhere
}

// NewServer makes a server; Start binds.
func NewServer(cfg ServerConfig) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Doors == nil {
		cfg.Doors = plainDoors{}
	}
	if cfg.Panicked == nil {
		cfg.Panicked = (&panicLog{log: cfg.Log}).note
	}
	s := &Server{driver: cfg.Driver, tracker: cfg.Tracker, log: cfg.Log, doors: cfg.Doors}
	s.Core = NewCore(cfg.Config, cfg.Tracker, cfg.Driver.Post)
	return s
}

// Name implements lifecycle.Service.
func (s *Server) Name() string { return "proxy" }

// Start binds every listener, or none, and in start mode Refuse begins to accept.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs *multierror.Error
	for _, ln := range s.cfg.Listeners {
		l, inherited, err := s.doors.Open(ctx, ln.Name, ln.Address, func(ctx context.Context) (net.Listener, error) {
			return synshed.Listen(ctx, "tcp", ln.Address)
		})
		if err != nil {
			errs = multierror.Append(errs, fmt.Errorf("listener %s: %w", ln.Name, err))
			continue
		}
		s.bound = append(s.bound, &bound{l: l, addr: l.Addr(), inherited: inherited})
	}
	if errs != nil {
		errs.ErrorFormat = oneLine
		for _, b := range s.bound {
			b.l.Close()
		}
		s.bound = nil
		return errs.ErrorOrNil()
	}
	s.driver.Start(s.Handler)
	for i, b := range s.bound {
		s.log.Info("listening", "listener", s.cfg.Listeners[i].Name, "protocol", s.cfg.Listeners[i].Protocol.String(), "address", b.addr.String(), "inherited", b.inherited)
	}
	if s.cfg.Start == Refuse {
		// Who is queued in a socket that we were given has waited for a policy before.
		return s.accept(func(_ string, b *bound) bool { return !b.inherited })
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

// accept gives those sockets to the driver that want it and that it does not have. Under mu.
func (s *Server) accept(want func(name string, b *bound) bool) (err error) {
	for i, b := range s.bound {
		name := s.cfg.Listeners[i].Name
		if b.accepting || !want(name, b) {
			continue
		}
		if b.l == nil {
			if b.l, err = s.doors.Again(name); err != nil {
				return fmt.Errorf("listener %s: %w", name, err)
			}
		}
		if err := s.driver.Listen(i, b.l); err != nil {
			return fmt.Errorf("listener %s: %w", name, err)
		}
		b.accepting = true
	}
	return nil
}

// Addr is the address that a listener is bound to; nil before Start.
func (s *Server) Addr(name string) net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, b := range s.bound {
		if s.cfg.Listeners[i].Name == name {
			return b.addr
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
	s.succeeded.Store(false)
	s.Admitted()
	return s.accept(func(name string, _ *bound) bool { return !s.doors.Theirs(name) })
}

// TakeOver begins to accept what a predecessor accepted from until now. Whoever was queued
// meanwhile is served; and nobody was given to us before, so nobody is lost with us if we
// fail at once.
func (s *Server) TakeOver() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tracker.State() != drain.Open && s.tracker.State() != drain.Leaving {
		return nil // told to stop meanwhile
	}
	return s.accept(func(name string, _ *bound) bool { return !s.doors.Theirs(name) })
}

// LameDuck begins the goodbye; everything is still accepted, but from the sockets that a
// successor has: there, accepting ends, and nobody comes back here who is told to leave.
func (s *Server) LameDuck() {
	if s.yield() {
		s.succeeded.Store(true)
		s.tracker.Leave()
		s.Tell()
		s.tracker.Notice()
		return
	}
	s.tracker.Leave()
	s.Tell()
}

// yield leaves the sockets that a successor has taken to it, accept loops joined, and
// reports whether there are any.
func (s *Server) yield() (any bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, b := range s.bound {
		if s.doors.Taken(s.cfg.Listeners[i].Name) {
			any = true
			s.leave(i, b)
		}
	}
	return any
}

// leave has the driver let go of a socket. Under mu.
func (s *Server) leave(i int, b *bound) {
	if b.accepting {
		s.driver.Yield(i)
		b.accepting, b.l = false, nil
	}
}

// Drain closes the listeners, joins their accept loops, and waits for everything in
// flight; ctx bounds it all.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	if s.drained {
		s.mu.Unlock()
		return nil
	}
	s.drained = true
	s.mu.Unlock()
	s.doors.Settle(ctx)
	s.mu.Lock()
	// Stopped while starting: what the kernel holds for us gets its 503 and a close. What it
	// holds for others too is theirs.
	err := s.accept(func(name string, _ *bound) bool { return !s.doors.Shared(name) })
	s.mu.Unlock()

	s.tracker.Closing()
	s.closeListeners()
	// Invariant 2: every accept loop is joined before the tracker turns Draining.
	s.Patrol()
	s.Tell()
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

// closeListener closes one. A socket that another process may hold gets no filter, which
// would make that one deaf: it is left as it is, and its queue is the other's.
func (s *Server) closeListener(i int, wg *sync.WaitGroup) {
	defer wg.Done()
	name, b := s.cfg.Listeners[i].Name, s.bound[i]
	if s.doors.Shared(name) {
		s.mu.Lock()
		s.leave(i, b)
		s.mu.Unlock()
		if b.l != nil {
			b.l.Close()
		}
		s.doors.Drop(name)
		s.tracker.ListenerClosed(name, true, "", 0)
		s.log.Info("listener left to who else holds it", "listener", name, "proven", true)
		return
	}
	s.doors.Drop(name) // or the close would leave the socket open, and deaf
	end := s.driver.Unlisten(i)
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
