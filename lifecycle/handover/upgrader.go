package handover

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"
)

// ErrPID1 refuses an upgrade: when PID 1 exits the container ends, whoever else runs in it.
var ErrPID1 = errors.New("this process is PID 1, and the container ends with it: start a new container and stop this one (a rolling update), or run sluice under systemd, which follows the new process")

// Hooks are what the process does at the turns of an upgrade. They are called one at a
// time, from one goroutine, and return soon.
type Hooks struct {
	// Policy is the version in force here, and Refresh reads the source again.
	Policy  func() Version
	Refresh func(ctx context.Context)
	// Yield stops answering probes and admin; then the successor hears that they are its.
	Yield func()
	// Leave stops accepting from what Doors.Taken says, and says goodbye; until is when
	// the trial ends.
	Leave func(until time.Time)
	// Confirm goes on to drain, as a generation; the successor is process pid.
	Confirm func(pid int)
	// TakeBack serves again. The successor is gone.
	TakeBack func()
	// Share is told how many processes there are to share the memory.
	Share func(processes int)
	// Evict makes room among the draining generations for one more.
	Evict func()
}

// Config of an Upgrader. All but Log and Stopping are needed.
type Config struct {
	Times      Times
	Command    Command
	Doors      *Doors
	Generation int             // of this process
	Members    func() []Member // this process, and who drains still, oldest first
	Supervisor string          // NOTIFY_SOCKET of systemd; empty: none
	Hooks      Hooks
	Log        *slog.Logger // nil: nowhere
	PID        int          // 0: os.Getpid
}

// Upgrader is the predecessor's side of upgrades. It is a service of package lifecycle by
// its shape. Make one with New.
type Upgrader struct {
	cfg Config

	wake   chan struct{} // of capacity 1, sent to by feed, never closed
	cancel context.CancelFunc
	done   chan struct{} // closed by run when it returns
	ctx    context.Context
	wg     sync.WaitGroup // the goroutines that listen to successors

	mu      sync.Mutex // guards what follows
	machine *Machine
	pid     int    // of the latest successor; 0: none
	admin   string // where its private listener is; empty: not known
	since   time.Time
	stopped bool          // Close was called
	turned  chan struct{} // closed and replaced by run when the machine may have moved

	// Owned by run.
	next  *successor // nil: none lives
	inbox *inbox     // of next
}

// New makes an upgrader; Start runs it.
func New(cfg Config) *Upgrader {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.PID == 0 {
		cfg.PID = os.Getpid()
	}
	u := &Upgrader{cfg: cfg, wake: make(chan struct{}, 1), done: make(chan struct{}), machine: NewMachine(cfg.Times), turned: make(chan struct{})}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	return u
}

// Progress is how the latest upgrade from this process goes.
type Progress struct {
	Generation int       `json:"generation"`    // of the successor
	PID        int       `json:"pid,omitempty"` // of the successor; 0: it was not started
	Result     Result    `json:"result"`
	Reason     string    `json:"reason,omitempty"` // why it failed, or what is waited for
	Since      time.Time `json:"since,omitzero"`
	Admin      string    `json:"admin,omitempty"` // where the private listener of the successor is; empty: not known
}

// Progress returns how the latest upgrade goes.
func (u *Upgrader) Progress() Progress {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := Progress{Generation: u.cfg.Generation + 1, PID: u.pid, Since: u.since, Admin: u.admin}
	p.Result, p.Reason = u.machine.Result()
	return p
}

// Begin starts an upgrade and returns at once; Progress says how it goes. It returns
// ErrPID1, ErrBusy, ErrHandedOver, or an error that says that this system cannot.
func (u *Upgrader) Begin() (err error) {
	if u.cfg.PID == 1 {
		return ErrPID1
	}
	if !possible {
		return errors.ErrUnsupported
	}
	u.feed(func(m *Machine, now time.Time) {
		if u.stopped {
			err = errors.New("this process is stopping")
			return
		}
		err = m.Begin(now)
	})
	return err
}

// Abandon ends an upgrade whose successor does not serve yet: the process is told to stop.
func (u *Upgrader) Abandon(why string) {
	u.feed(func(m *Machine, now time.Time) { m.Abandon(now, why) })
}

// feed hands an event to the machine and wakes run to carry out what follows.
func (u *Upgrader) feed(event func(*Machine, time.Time)) {
	u.mu.Lock()
	event(u.machine, time.Now())
	u.mu.Unlock()
	select {
	case u.wake <- struct{}{}:
	default: // it has not looked since the last event: it will see this one too
	}
}

// Name implements lifecycle.Service.
func (u *Upgrader) Name() string { return "upgrade" }

// Start implements lifecycle.Service.
func (u *Upgrader) Start(context.Context) error {
	go u.run() // owned by the upgrader; stopped and joined by Close
	return nil
}

// Admit implements lifecycle.Service.
func (u *Upgrader) Admit() error { return nil }

// LameDuck implements lifecycle.Service. If a successor serves, it is what began the lame
// duck; one that does not yet never will.
func (u *Upgrader) LameDuck() { u.Abandon("this process was told to stop") }

// Drain implements lifecycle.Service. It is the first to drain, so that nobody who does
// not serve holds a socket when the proxy closes its own.
func (u *Upgrader) Drain(ctx context.Context) error {
	u.feed(func(m *Machine, now time.Time) { m.Hurry(now, "this process was told to stop") })
	for {
		u.mu.Lock()
		stage, turned := u.machine.Stage(), u.turned
		u.mu.Unlock()
		if stage != Starting && stage != Ending {
			return nil
		}
		select {
		case <-turned:
		case <-ctx.Done():
			return nil
		}
	}
}

// Close implements lifecycle.Service. A successor that serves stays.
func (u *Upgrader) Close() error {
	u.mu.Lock()
	u.stopped = true
	u.mu.Unlock()
	u.cancel()
	<-u.done
	u.wg.Wait()
	return nil
}

// run carries out what the machine says. It returns after Close.
func (u *Upgrader) run() {
	defer close(u.done)
	defer u.rest()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		u.mu.Lock()
		actions, next := u.machine.Step(time.Now())
		close(u.turned)
		u.turned = make(chan struct{})
		u.mu.Unlock()
		for _, a := range actions {
			u.perform(a)
		}
		if len(actions) > 0 {
			continue // what was done may have made more to do
		}
		var due <-chan time.Time // nil, and so never ready, if nothing is due
		if !next.IsZero() {
			timer.Reset(time.Until(next))
			due = timer.C
		}
		select {
		case <-u.wake:
		case <-due:
		case <-u.ctx.Done():
			return
		}
	}
}
