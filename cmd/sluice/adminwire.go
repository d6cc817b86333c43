package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/health/sdnotify"
	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/proxy"
)

// wireAdmin registers what tells the story: probes and metrics first, so that they are
// the last to go; then the private listener; then systemd.
func (a *app) wireAdmin() error {
	metrics := admin.NewMetrics(a.sources())
	names := health.OurNames
	if a.cfg.Health.Names == "pomerium" {
		names = health.PomeriumNames
	}
	a.probes = admin.NewProbes(admin.ProbesConfig{Address: a.cfg.Probes.Address, Health: a.registry, Names: names,
		Metrics: metrics, Linger: a.cfg.Drain.Linger, Failed: a.manager.Failed, Log: a.log,
		Listen: func(ctx context.Context, address string) (net.Listener, error) {
			return a.openAdmin(probesSocket, address, func(ctx context.Context) (net.Listener, error) {
				return admin.ListenTCP(ctx, address)
			})(ctx)
		}})
	a.manager.Register(a.probes)
	server, err := admin.NewServer(admin.Config{Address: a.cfg.Admin.Address, TokenFile: a.cfg.Admin.TokenFile, Build: buildVersion(),
		Hooks: a.hooks(names), Failed: a.manager.Failed, Log: a.log,
		Keep: func() bool { return a.hand.doors.Shared(adminSocket) },
		Listen: func(ctx context.Context, bind func(context.Context) (net.Listener, error)) (net.Listener, error) {
			return a.openAdmin(adminSocket, a.cfg.Admin.Address, bind)(ctx)
		}})
	if err != nil {
		return err
	}
	a.private = server
	a.manager.Register(server)
	a.hand.control = admin.NewControl(server)
	a.manager.Register(a.hand.control)
	a.manager.Register(a.hand.generations)
	a.notifier = sdnotify.New(sdnotify.Config{Health: a.registry, Alive: a.alive, Status: a.statusLine,
		Exiting: func() bool { return a.manager.Status().Exits }, Send: a.hand.voice.Send, Log: a.log})
	a.manager.Register(a.notifier)
	return nil
}

// hooks are the process as the private listener sees it.
func (a *app) hooks(names health.Naming) admin.Hooks {
	h := admin.Hooks{
		Health: a.registry.Snapshot, Names: names, Lifecycle: a.manager.Status, Tracker: a.tracker.Stats, View: a.tracker.View, Detail: a.server.Look, Refusal: a.server.Refusal, Forecast: a.forecast, Evict: a.tracker.Evict,
		Receipt: a.receipt, Policy: a.policy, Proxy: a.server.Stats, RequestDrain: a.manager.RequestDrain, Undo: a.manager.Undo, MoveDeadline: a.moveDeadline,
		Acknowledge: a.manager.Acknowledge, Reload: a.reload,
		Cut:     func() { a.manager.Cut("told to cut what is left") },
		Upgrade: a.upgrade, Upgraded: a.upgraded, Final: a.final, Generations: a.hand.generations, Generation: a.hand.generation,
		Sessions: a.sessionAccount, Fleet: a.fleetStatus,
	}
	if a.sessions != nil {
		h.Revoke = a.sessions.revoke
	}
	return h
}

// moveDeadline refuses in the moment between the cut and the end of the drain, which only
// the tracker knows of.
func (a *app) moveDeadline(at time.Time) error {
	if a.tracker.Cutting() {
		return lifecycle.ErrDeadlineOver
	}
	return a.manager.MoveDeadline(at)
}

func (a *app) receipt() (drain.Receipt, bool) {
	r := a.tracker.Receipt()
	a.explainLameDuck(&r)
	return r, r.Schema != 0 && len(r.Phases) > 0
}

// sources is where metrics are read.
func (a *app) sources() admin.Sources {
	return admin.Sources{
		Build: buildVersion(), Generation: a.hand.generation,
		Generations: func() []admin.Generation { return a.hand.generations.List(context.Background()) },
		Health:      a.registry.Snapshot, Transitions: a.manager.Transitions, Tracker: a.tracker.Stats,
		Receipt: a.tracker.Receipt, LastDrain: a.lastDrain(a.hand.generations), Proxy: a.server.Stats, Certificates: a.certificateStats, Policy: a.policy, Reloads: a.reloadCounts, Logins: a.logins, Sessions: a.sessionAccount, Fleet: a.fleetStatus, Logs: a.logLosses,
		Listeners: a.cfg.ProxyConfig().Listeners, Reasons: policy.Reasons(), Log: a.log,
	}
}

// logLosses is what the logs could not write.
func (a *app) logLosses() map[string]admin.LogLoss {
	losses := map[string]admin.LogLoss{}
	for name, w := range map[string]*proxy.AccessWriter{"access": a.access, "process": a.process, "decisions": a.decisions} {
		if w != nil && (name == "access" || w != a.access) {
			losses[name] = admin.LogLoss{Dropped: w.Dropped(), Failed: w.Failed()}
		}
	}
	return losses
}

func (a *app) reloadCounts() admin.Reloads {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reloads
}

// statusLine is what `systemctl status` shows: to the end, and the last line after it.
func (a *app) statusLine() string {
	if a.tracker.State() == drain.Drained {
		return a.tracker.Receipt().String()
	}
	v := a.registry.Snapshot().Verdict(health.Ready)
	s := a.tracker.Stats()
	line := fmt.Sprintf("%s, %s", v.Process.State.Label(), s.Connections)
	if d, ok := a.tracker.Deadline(); ok {
		return fmt.Sprintf("%s, %s left", line, time.Until(d).Round(time.Second))
	}
	if !v.OK {
		return line + "; " + v.String()
	}
	return line
}

// alive feeds the watchdog: the loops turn.
func (a *app) alive() bool { return a.server.Progressing(time.Now()) }
