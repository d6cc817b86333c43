package sdnotify

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/sluiceproxy/sluice/health"
)

// Notifier follows a registry and tells systemd. It is a health.Provider, and a service
// of package lifecycle by its shape. Make one with New.
type Notifier struct {
	cfg Config

	wake chan struct{} // of capacity 1, sent to by Deliver and Reload, never closed
	stop chan struct{} // closed by Close, once
	done chan struct{} // closed by run when it returns

	mu      sync.Mutex           // guards what follows
	sub     *health.Subscription // nil: not started, or nobody to tell
	closed  bool
	begun   int // reloads that began, ever
	running int // reloads under way

	told told // owned by run
}

// told is what systemd knows.
type told struct {
	ready    bool   // READY=1 was sent, and STOPPING=1 not since
	stopping bool   // STOPPING=1 was sent, and READY=1 not since
	reload   bool   // RELOADING=1 was sent, and READY=1 not since
	begun    int    // reloads that RELOADING=1 was sent for, or needed none
	status   string // the last STATUS
	failed   bool   // the last message could not be sent
}

// New returns a notifier that has told nothing yet. It panics without Health or Alive.
func New(cfg Config) *Notifier {
	return &Notifier{
		cfg:  cfg.withDefaults(),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
}

// Name implements lifecycle.Service.
func (n *Notifier) Name() string { return "sdnotify" }

// Start looks whether there is anybody to tell, and begins to tell. That systemd cannot
// be reached is no reason not to serve: it is logged.
func (n *Notifier) Start(context.Context) error {
	line := status(n.cfg.Status())
	n.told.status = line
	sent, err := n.cfg.Send(line)
	if err == nil && !sent {
		return nil // no NOTIFY_SOCKET
	}
	if err != nil {
		n.told.failed = true
		n.cfg.Log.Warn("systemd cannot be notified; is NOTIFY_SOCKET right?", "err", err)
	}
	watchdog, err := n.cfg.Watchdog()
	if err != nil {
		n.cfg.Log.Warn("the watchdog of systemd stays unfed", "err", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sub = n.cfg.Health.Attach(n)
	// Owned by the notifier; stopped and joined by Close.
	go n.run(watchdog)
	return nil
}

// Admit implements lifecycle.Service. READY follows from health.
func (n *Notifier) Admit() error { return nil }

// LameDuck implements lifecycle.Service. STOPPING follows from health.
func (n *Notifier) LameDuck() {}

// Drain implements lifecycle.Service: there is nothing to finish.
func (n *Notifier) Drain(context.Context) error { return nil }

// Close tells the last state and ends. A second call does nothing.
func (n *Notifier) Close() error {
	n.mu.Lock()
	sub, closed := n.sub, n.closed
	n.closed = true
	n.mu.Unlock()
	if sub == nil || closed {
		return nil
	}
	sub.Detach()
	close(n.stop)
	<-n.done
	return nil
}

// Deliver implements health.Provider.
func (n *Notifier) Deliver(health.Change) { n.nudge() }

func (n *Notifier) nudge() {
	select {
	case n.wake <- struct{}{}:
	default: // it has not looked since the last time: it will see this too
	}
}

// Reload runs f and lets systemd know when it began and when it ended. It returns what f
// returns. Reloads may overlap; they end when the last one does.
func (n *Notifier) Reload(f func() error) error {
	n.mu.Lock()
	n.begun++
	n.running++
	n.mu.Unlock()
	n.nudge()
	defer func() {
		n.mu.Lock()
		n.running--
		n.mu.Unlock()
		n.nudge()
	}()
	return f()
}

// run tells whatever changes, and renews what expires. It returns after Close.
func (n *Notifier) run(watchdog time.Duration) {
	defer close(n.done)
	renew := time.NewTicker(n.cfg.Every)
	defer renew.Stop()
	var feed <-chan time.Time // nil, and so never ready, without a watchdog
	if watchdog > 0 {
		// Half of it, as sd_watchdog_enabled(3) recommends.
		t := time.NewTicker(max(watchdog/2, time.Millisecond))
		defer t.Stop()
		feed = t.C
	}
	n.look()
	n.renew()
	for {
		select {
		case <-n.wake:
			n.look()
		case <-renew.C:
			if n.told.failed {
				n.forget()
			}
			n.look()
			n.renew()
		case <-feed:
			if n.cfg.Alive() {
				n.send(daemon.SdNotifyWatchdog)
			}
		case <-n.stop:
			n.look()
			return
		}
	}
}

// look compares what is with what was told, and tells the difference.
func (n *Notifier) look() {
	n.mu.Lock()
	begun, running := n.begun, n.running
	n.mu.Unlock()
	s := n.cfg.Health.Snapshot()
	state := s.Process.State

	var message []string
	switch {
	case !n.told.ready && state == health.ProcessServing && s.Verdict(health.Ready).OK:
		message = append(message, daemon.SdNotifyReady)
		n.told.ready, n.told.stopping = true, false
	case !n.told.stopping && n.exiting(state):
		message = append(message, daemon.SdNotifyStopping)
		n.told = told{stopping: true, begun: begun, status: n.told.status, failed: n.told.failed}
	}
	// A reload while systemd is waiting for READY, or for the exit, is none for it: the
	// READY at its end would say something that is not so.
	if !n.told.ready {
		n.told.begun = begun
	}
	if begun > n.told.begun {
		n.send(reloading())
		n.told.reload, n.told.begun = true, begun
	}
	if n.told.reload && running == 0 {
		message = append(message, daemon.SdNotifyReady)
		n.told.reload = false
	}
	if line := status(n.cfg.Status()); line != n.told.status {
		message = append(message, line)
		n.told.status = line
	}
	if len(message) > 0 {
		n.send(strings.Join(message, "\n"))
	}
	if message != nil && message[0] == daemon.SdNotifyStopping {
		n.renew() // how much of TimeoutStopSec is left is not known
	}
}

// forget makes the next look tell everything again, after a message was lost. systemd
// takes no harm from hearing the same twice.
func (n *Notifier) forget() {
	n.told.ready, n.told.stopping, n.told.status = false, false, ""
}

// exiting reports whether the process is on its way out.
func (n *Notifier) exiting(state health.Process) bool {
	switch state {
	case health.ProcessStopped, health.ProcessFailed:
		return true
	case health.ProcessLameDuck, health.ProcessDraining, health.ProcessDrained: // a parked one is closed in Drained
		return n.cfg.Exiting()
	case health.ProcessStarting, health.ProcessServing:
	}
	return false
}

// renew extends the timeout of a start or a stop, if there is one under way.
func (n *Notifier) renew() {
	if (n.told.stopping || !n.told.ready) && n.cfg.Alive() {
		n.send(extend(n.cfg.Extend))
	}
}

// send sends a message. A failure is logged once, until one succeeds.
func (n *Notifier) send(message string) {
	_, err := n.cfg.Send(message)
	if err != nil && !n.told.failed {
		n.cfg.Log.Warn("systemd cannot be notified", "err", err)
	}
	n.told.failed = err != nil
}
