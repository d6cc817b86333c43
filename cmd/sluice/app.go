package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/authz/authn/oidc"
	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/authz/policysync"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/health/sdnotify"
	"github.com/sluiceproxy/sluice/internal/synshed"
	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/proxy"
)

// app is the whole process, wired. It holds no logic of its own: who decides what is
// said in the packages.
type app struct {
	cfg     *config.Config
	opts    *options
	log     *slog.Logger
	started time.Time

	registry     *health.Registry
	manager      *lifecycle.Manager
	tracker      *drain.Tracker
	server       *proxy.Server
	witness      *witnessed         // of server
	shared       sharedStore        // nil: the configuration has none
	fleet        *fleetMember       // nil: it is one of no fleet
	syncer       *policysync.Syncer // nil with --public
	trust        *policysync.Trust  // in who publishes; nil: the configuration has no keys
	keySources   []*keySource       // of what authenticators need
	keys         *keyLoader         // nil without sources
	providers    []*oidc.Authenticator
	sessions     *sessions      // nil: the configuration has none
	certificates []certificates // of the listeners that speak TLS
	outgoing     []outgoing     // profiles of connections to upstreams
	notifier     *sdnotify.Notifier
	access       *proxy.AccessWriter // nil without an access log
	decisions    *proxy.AccessWriter // nil without a decision log; may be access
	decisionFile *logFile            // where they go; nil: elsewhere, or nowhere
	process      *proxy.AccessWriter // of log; nil: it goes elsewhere
	shortage     *shortage
	probes       *admin.Probes
	private      *admin.Server
	hand         handing

	mu      sync.Mutex // guards reloads
	reloads admin.Reloads
}

// newApp wires everything; nothing runs yet.
func newApp(cfg *config.Config, opts *options, log *slog.Logger, accessTo io.Writer, from origin) (*app, error) {
	a := &app{cfg: cfg, opts: opts, log: log, started: time.Now(), registry: health.NewRegistry(health.Config{})}
	a.tracker = drain.New(cfg.DrainConfig())
	a.wireManager()
	a.wireDoors(from)
	a.shortage = newShortage(a.registry, log, haveDescriptor)
	if err := a.openShared(); err != nil {
		return nil, err
	}
	a.wireFleet()
	a.newSessions()
	if err := a.wireProxy(accessTo); err != nil {
		return nil, err
	}
	if err := a.wireAdmin(); err != nil {
		return nil, err
	}
	a.wireKeys()
	if a.sessions != nil {
		a.sessions.keeper.OnChange(a.server.Recheck) // their open streams end
		a.manager.Register(a.sessions)
	}
	if a.speaksTLS() {
		a.manager.Register(&certWatcher{app: a})
	}
	if err := a.wireTrust(); err != nil {
		return nil, err
	}
	a.wirePolicy()
	a.manager.Register(a.shortage)
	a.witness = &witnessed{Server: a.server, log: log}
	a.manager.Register(a.witness) // late in, early out: it drains while the others still serve
	a.wireUpgrade()
	return a, nil
}

func (a *app) wireManager() {
	cfg := a.cfg.LifecycleConfig()
	cfg.Health, cfg.Quiet, cfg.Log = a.registry, a.tracker.Quiet, a.log
	cfg.Interactive = isTerminal(os.Stderr)
	cfg.Progress = a.progress
	if a.cfg.Fleet.Enabled {
		cfg.Turn = func(ctx context.Context) lifecycle.TurnEnd { return a.fleet.stopTurn(ctx) }
	}
	cfg.Reload = func(ctx context.Context) { _ = a.reload(ctx) }
	a.manager = lifecycle.New(cfg)
}

func (a *app) wireProxy(accessTo io.Writer) error {
	cfg := a.cfg.ProxyConfig()
	if err := a.addAuthenticators(&cfg); err != nil {
		return err
	}
	a.addAssertions(&cfg)
	if a.cfg.Log.Access {
		a.access = proxy.NewAccessWriter(accessTo, 0, accessGather)
		cfg.AccessLog = a.access
	}
	if err := a.wireDecisions(&cfg, accessTo); err != nil {
		return err
	}
	if err := a.wireCertificates(&cfg); err != nil {
		return err
	}
	if err := a.wireOutgoing(&cfg); err != nil {
		return err
	}
	driver, err := a.newDriver()
	if err != nil {
		return err
	}
	driver = a.secure(driver)
	if a.sessions != nil {
		cfg.Sessions = a.sessions.keeper
	}
	a.server = proxy.NewServer(proxy.ServerConfig{Config: cfg, Driver: driver, Tracker: a.tracker, Doors: a.hand.doors, Log: a.log})
	return nil
}

func (a *app) wirePolicy() {
	if a.opts.public {
		a.registry.Declare(health.AuthorizeService, health.Degradable)
		a.registry.Set(health.AuthorizeService, health.Degraded, errors.New("every request of everybody is allowed (--public)"))
		a.manager.Register(&publicPolicy{server: a.server, to: a.opts.to, target: a.manager.Target(health.PolicySyncInitial)})
		return
	}
	source := a.policySource()
	cfg := policysync.Config{
		Source: source, Log: a.log, Poll: a.cfg.Policy.Poll, StateDir: a.cfg.Policy.StateDir,
		Release: version, Extra: toCluster(a.opts.to), Trust: a.trust,
		Target: a.manager.Target(health.PolicySyncInitial), Report: a.reportPolicy,
		Apply: func(ctx context.Context, v policysync.Version, doc *policy.Document) error {
			return a.server.Apply(ctx, v.String(), doc)
		},
	}
	if a.cfg.Policy.StartFrom == "last_known_good" {
		cfg.StartFromLastGood = a.cfg.Policy.MaxAge
	}
	cfg.Fresh, cfg.Withhold = a.cfg.FreshnessRule(), a.server.Withhold
	cfg.Fresh.Fleet = func() policysync.Fleet {
		if a.fleet == nil {
			return policysync.Fleet{}
		}
		return a.fleet.others()
	}
	class := health.Degradable
	if cfg.Fresh.On == policysync.Unready {
		class = health.Required // it may keep this replica from being ready, and nothing else
	}
	if cfg.Fresh.Max > 0 {
		a.registry.Declare(health.PolicyFreshness, class)
		a.registry.Set(health.PolicyFreshness, health.Running, nil)
	}
	a.registry.Declare(health.PolicyBuild, health.Degradable)
	a.registry.Declare(health.StorageBackend, health.Degradable)
	a.registry.Set(health.AuthorizeService, health.Running, nil)
	a.syncer = policysync.New(cfg)
	a.manager.Register(a.syncer)
}

// policySource is where the configuration says that the policy comes from.
func (a *app) policySource() policysync.Source {
	if a.cfg.Policy.Source == "etcd" {
		return policysync.Recall(policysync.FromStore(a.shared.Policies(), a.trust))
	}
	if a.cfg.Policy.Layout == "objects" {
		return policysync.FromStore(policysync.NewDirStore(a.cfg.Policy.Dir), a.trust)
	}
	return policysync.NewDir(a.cfg.Policy.Dir, policysync.Plain)
}

// reportPolicy puts the syncer's words into health. The target speaks for the first sync.
func (a *app) reportPolicy(check string, state policysync.State, err error) {
	if check == policysync.CheckInitial {
		return
	}
	status := health.Starting
	switch state {
	case policysync.Starting:
	case policysync.Running:
		status = health.Running
	case policysync.Degraded:
		status = health.Degraded
	case policysync.Failing:
		status = health.Failed
	}
	a.registry.Set(check, status, err)
}

func (a *app) policy() admin.Policy {
	if a.syncer == nil {
		p := admin.Policy{Source: "--public", Version: a.server.Version(), Applied: a.started}
		p.Stages = map[string]string{"proxy": p.Version}
		return p
	}
	p := admin.PolicyOf(a.syncer.Status())
	p.Stages = map[string]string{"proxy": a.server.Version()}
	return p
}

// reload reads policy, keys and certificates again, and goes on in new log files. What was in force stays where something is wrong.
func (a *app) reload(ctx context.Context) error {
	var errs []error
	err := a.notifier.Reload(func() error {
		if a.keys != nil {
			errs = append(errs, a.keys.load())
		}
		if err := a.reopenLogs(); err != nil {
			errs = append(errs, err)
		}
		if a.sessions != nil {
			errs = append(errs, a.sessions.load())
		}
		if err := a.reloadCertificates(); err != nil {
			errs = append(errs, err)
		}
		if err := a.reloadTrust(); err != nil {
			errs = append(errs, err)
		}
		if a.syncer != nil {
			if err := a.syncer.Reload(ctx); err != nil {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reloads.LastFailed = err != nil
	if err != nil {
		a.reloads.Failed++
		a.log.Error("reload refused; what was in force stays", "err", err)
		return err
	}
	a.reloads.Succeeded++
	a.reloads.LastSuccess = time.Now()
	a.log.Info("reloaded", "policy", a.server.Version())
	return nil
}

// progress is what the story of the shutdown tells with each line.
func (a *app) progress() []slog.Attr {
	s := a.tracker.Stats()
	attrs := []slog.Attr{slog.Int("connections", s.Connections.Total()), slog.String("doing", s.Connections.String())}
	if d, ok := a.tracker.Deadline(); ok {
		attrs = append(attrs, slog.String("left", time.Until(d).Round(100*time.Millisecond).String()))
	}
	if oldest := a.tracker.Snapshot(1); len(oldest) > 0 && a.tracker.State() == drain.Draining {
		attrs = append(attrs, slog.String("oldest", fmt.Sprintf("%s %s on %s: %s", oldest[0].Protocol, oldest[0].Class, oldest[0].Listener, oldest[0].Why)))
	}
	return attrs
}

// run lives until the process may exit, and returns the exit code.
func (a *app) run(ctx context.Context) int {
	a.banner()
	last := catchSignals()
	ignore := onUpgradeSignal(a.upgradeSignalled)
	err := a.manager.Run(ctx)
	ignore()
	code := last.account(func() int { return a.account(err) }, a.log) // first: nothing may come between the end and its account
	a.closeLogs()
	a.registry.Close()
	return code
}

// banner says in a few lines what runs here and what a stop will do.
func (a *app) banner() {
	v := buildVersion()
	source, layout := a.cfg.Policy.Dir, a.cfg.Policy.Layout
	switch {
	case a.opts.public:
		source = "--public: every request of everybody is allowed"
	case a.cfg.Policy.Source == "etcd":
		source, layout = a.shared.Name(), "objects"
	}
	a.log.Info("sluice", "version", v.Version, "revision", v.Revision, "pid", os.Getpid(), "generation", a.hand.generation)
	a.hand.memory.say(a.log, len(a.hand.generations.Draining())+1)
	a.log.Info("policy", "from", source, "layout", layout)
	a.log.Info("probes and metrics", "address", a.cfg.Probes.Address)
	a.log.Info("admin", "address", a.cfg.Admin.Address)
	if err := synshed.Supported(); err != nil {
		a.log.Warn("at the end of a stop, listeners cannot be closed without a risk for connections that begin just then: let lame_duck end after balancers have stopped sending", "err", err)
	}
	notReady := "at once"
	if f := a.cfg.Fleet; f.Enabled && f.BudgetWait > 0 {
		notReady = fmt.Sprintf("once it is its turn in the fleet, after %s at most", f.BudgetWait)
	}
	a.log.Info("on SIGTERM", "not_ready", notReady, "keep_accepting", fmt.Sprintf("%s to %s", a.cfg.LameDuck.Min, a.cfg.LameDuck.Max),
		"finish_within", a.cfg.Drain.Timeout.String(), "then", "cut, named in the receipt")
}
