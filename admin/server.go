package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/sluiceproxy/sluice/admin/dashboard"
	"github.com/sluiceproxy/sluice/authz/session"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/internal/fleet"
	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/lifecycle/handover"
	"github.com/sluiceproxy/sluice/proxy"
)

// Config configures the private server.
type Config struct {
	// Address is a loopback host:port or unix:/path (default "127.0.0.1:9901"). Any
	// other address is refused without TokenFile.
	Address string
	// TokenFile holds the token that every request must then carry, but for the files of
	// the dashboard, which hold nothing. It is read again when it changes. Empty: reading needs none; anything else is refused, except on a
	// unix socket, whose file mode (0600) protects it.
	TokenFile string
	// Build says what runs.
	Build Build
	// Hooks are where answers come from.
	Hooks Hooks

	// Listen returns the socket, by bind or from elsewhere; nil: bind.
	Listen func(ctx context.Context, bind func(context.Context) (net.Listener, error)) (net.Listener, error)
	// Keep says that the path of a unix socket is somebody else's too, and stays; nil: never.
	Keep func() bool
	// Failed is told if the listener breaks while it is needed; nil: nobody.
	Failed func(service string, err error)
	Log    *slog.Logger // nil: nowhere
}

// Hooks are the process as the server sees it. One that is nil makes its page answer 501.
// They are called by many goroutines at once, must return at once, and must not call the
// server back; Reload may take its time.
type Hooks struct {
	Health       func() health.Snapshot                                           // health.Registry.Snapshot
	Names        health.Naming                                                    // of checks, in /status
	Lifecycle    func() lifecycle.Status                                          // lifecycle.Manager.Status
	Tracker      func() drain.Stats                                               // drain.Tracker.Stats
	View         func(max int) drain.View                                         // drain.Tracker.View
	Detail       func(ctx context.Context, refs []uint64) map[uint64]proxy.Detail // proxy.Core.Look; nil: none
	Refusal      func(ctx context.Context, id string) (*proxy.Refusal, error)     // proxy.Core.Refusal
	Forecast     func(budgets []time.Duration) drain.Forecast                     // drain.Tracker.Forecast
	Evict        func(id uint64) (found bool)                                     // drain.Tracker.Evict
	Receipt      func() (r drain.Receipt, ok bool)                                // the last one; false: there is none yet
	Policy       func() Policy
	Proxy        func() proxy.Stats                              // proxy.Core.Stats
	RequestDrain func(park bool) error                           // lifecycle.Manager.RequestDrain
	Undo         func() error                                    // lifecycle.Manager.Undo
	Acknowledge  func() error                                    // lifecycle.Manager.Acknowledge
	MoveDeadline func(at time.Time) error                        // lifecycle.Manager.MoveDeadline
	Reload       func(ctx context.Context) error                 // an error leaves everything as it was
	Sessions     func() *Sessions                                // nil, or what it returns is: there are none
	Fleet        func() *fleet.Status                            // nil, or what it returns is: it is one of none
	Revoke       func(context.Context, session.Revocation) error // session.Keeper.Revoke; nil: there are no sessions
	Cut          func()                                          // lifecycle.Manager.Cut: ends what is left
	Upgrade      func() error                                    // handover.Upgrader.Begin
	Upgraded     func() handover.Progress                        // how the latest upgrade goes, from or to this process
	Final        func(ctx context.Context) (drain.Receipt, bool) // waits for the end of the drain; false: ctx ended first
	Generations  *Generations                                    // who drains still; nil: nobody
	Generation   int                                             // of this process
}

// DefaultAddress is where the private server listens.
const DefaultAddress = "127.0.0.1:9901"

// Server is the private server. It is a service of package lifecycle by its shape.
// Register it right after Probes. Its connections are never drain work.
type Server struct {
	cfg   Config
	guard guard
	web   *web
	key   []byte // of hashed peers: the same client is the same word while we live

	files   *dashboard.Files
	streams *dashboard.Streams

	mu      sync.Mutex // guards address
	address net.Addr
}

// NewServer makes a server; Start binds. It returns every fault of the configuration.
func NewServer(cfg Config) (*Server, error) {
	if cfg.Address == "" {
		cfg.Address = DefaultAddress
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	var errs *multierror.Error
	g := guard{log: cfg.Log.With("component", "admin")}
	var err error
	if g.place, err = parsePlace(cfg.Address); err != nil {
		errs = multierror.Append(errs, err)
	} else if cfg.TokenFile == "" && !g.place.loopback() {
		errs = multierror.Append(errs, fmt.Errorf("address %q is not loopback; set admin.token_file", cfg.Address))
	}
	if cfg.TokenFile != "" {
		if g.token, err = newToken(cfg.TokenFile); err != nil {
			errs = multierror.Append(errs, err)
		}
	}
	if errs != nil {
		return nil, errs
	}
	s := &Server{cfg: cfg, guard: g, key: make([]byte, 32)}
	if _, err := rand.Read(s.key); err != nil {
		panic("BUG: crypto/rand never fails: " + err.Error())
	}
	s.files, s.streams = dashboard.NewFiles(g.token != nil), dashboard.NewStreams(dashboard.Config{Look: s.look})
	s.web = newWeb("admin", s.handler(), DefaultMaxConnections, cfg.Failed, cfg.Log)
	return s, nil
}

// handler guards every page. The files of the dashboard hold nothing, and a browser has no
// token when it asks for them.
func (s *Server) handler() http.Handler {
	pages := s.pages(func(r *http.Request) bool { return s.guard.check(r) == nil })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		isFile := s.files.Has(r)
		check := s.guard.check
		if isFile {
			check = s.guard.checkFile
		}
		if no := check(r); no != nil {
			refuse(w, no.code, no.text)
			return
		}
		if isFile {
			s.files.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	})
}

// Name implements lifecycle.Service.
func (s *Server) Name() string { return "admin" }

// Start binds and answers.
func (s *Server) Start(ctx context.Context) error {
	listen := s.cfg.Listen
	if listen == nil {
		listen = func(ctx context.Context, bind func(context.Context) (net.Listener, error)) (net.Listener, error) {
			return bind(ctx)
		}
	}
	ln, err := listen(ctx, s.guard.place.listen)
	if err != nil {
		return fmt.Errorf("admin: %w; see admin.address", err)
	}
	ln = s.guard.place.own(ln, s.cfg.Keep)
	if err := s.guard.bound(ln.Addr()); err != nil {
		ln.Close()
		return fmt.Errorf("admin: %w", err)
	}
	s.mu.Lock()
	s.address = ln.Addr()
	s.mu.Unlock()
	s.web.start(ln)
	return nil
}

// Addr is the address that is bound; nil before Start.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.address
}

// Place is the address that is bound as a client wants it (ClientConfig.Address); empty
// before Start.
func (s *Server) Place() string {
	at := s.Addr()
	switch {
	case at == nil:
		return ""
	case at.Network() == "unix":
		return "unix:" + at.String()
	}
	return at.String()
}

// Admit implements lifecycle.Service: everything is answered from Start on.
func (s *Server) Admit() error { return nil }

// Yield says that somebody else answers at this address now: connections end with the
// answer under way, and dashboards at once. Resume undoes that.
func (s *Server) Yield() {
	s.web.yield(true)
	s.streams.End(dashboard.HandedOver)
}

// Resume undoes Yield.
func (s *Server) Resume() { s.web.yield(false) }

// LameDuck implements lifecycle.Service.
func (s *Server) LameDuck() {}

// Drain implements lifecycle.Service: it answers on until Close. The traffic is over, and
// dashboards are told so.
func (s *Server) Drain(context.Context) error {
	s.streams.End(dashboard.Drained)
	return nil
}

// Close ends it, profiles and dashboards under way included.
func (s *Server) Close() error {
	s.streams.Close()
	return s.web.close()
}

// status gathers /status; traffic is what the proxy says.
func (s *Server) status(traffic proxy.Stats) Status {
	h := s.cfg.Hooks
	st := Status{Build: s.cfg.Build, PID: os.Getpid(), Generation: h.Generation}
	if h.Health != nil {
		snapshot := h.Health()
		v := snapshot.Verdict(health.Ready)
		st.Ready, st.Readiness = v.OK, v.String()
		st.Report = snapshot.Report(h.Names)
	}
	st.Policy = read(h.Policy)
	st.Sessions = read(h.Sessions)
	st.Fleet = read(h.Fleet)
	st.Upstreams = upstreamsOf(traffic)
	st.Drain = s.progress()
	t := read(h.Tracker)
	st.Connections, st.Tracked, st.Exchanges = t.Connections, t.Tracked, t.Exchanges
	st.Refused = t.RefusedShut + t.RefusedDraining
	return st
}

// progress gathers GET /drain.
func (s *Server) progress() Progress {
	l, t := read(s.cfg.Hooks.Lifecycle), read(s.cfg.Hooks.Tracker)
	p := Progress{
		State: l.State, Since: l.Since, Reason: l.Reason, Until: l.Until, Budget: l.Budget,
		Latest: l.Latest, Holding: l.Holding, NextSignal: l.NextSignal, Initial: t.Initial, Remaining: t.Connections, Told: t.Told,
	}
	p.TurnWaits = l.Turn.Waits()
	if !l.Until.IsZero() {
		p.SecondsLeft = max(0, time.Until(l.Until).Seconds())
	}
	return p
}

// conflict reports whether an error of the lifecycle says that it is the wrong moment.
func conflict(err error) bool {
	var beyond *lifecycle.BeyondBudgetError
	return errors.Is(err, lifecycle.ErrTooLate) || errors.Is(err, lifecycle.ErrNotLameDuck) || errors.Is(err, lifecycle.ErrCannotUndo) ||
		errors.Is(err, lifecycle.ErrNotDraining) || errors.Is(err, lifecycle.ErrDeadlineOver) || errors.As(err, &beyond) || errors.Is(err, lifecycle.ErrHandedOver)
}

func (s *Server) pid() int { return os.Getpid() }
