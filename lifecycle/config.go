package lifecycle

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/sluiceproxy/sluice/health"
)

// Config is what an operator may set, what the process wires in, and the seams of
// tests. Zero durations mean the documented default, negative ones none.
type Config struct {
	// LameDuckMin is how long the process goes on accepting after it stopped being
	// ready (default 5s).
	LameDuckMin time.Duration
	// LameDuckMax bounds the lame duck (default 10s, at least LameDuckMin).
	LameDuckMax time.Duration
	// LameDuckQuiet is how long no new connection may have carried a request for the
	// lame duck to end between min and max (default 2s; negative: wait for max).
	LameDuckQuiet time.Duration
	// Timeout is the budget of the drain, shared by all services (default 15s).
	Timeout time.Duration
	// Grace is how long past its time a service may take before it is named and left
	// behind (default 1s).
	Grace time.Duration
	// Budget bounds a stop from the first signal to the return of Run
	// (default: TurnWait + LameDuckMax + Timeout + 5s).
	Budget time.Duration
	// Closing is how much of Budget a deadline that is moved leaves for what comes after the
	// drain (default 5s, and never more than the other times leave).
	Closing time.Duration

	// TurnWait is how long a stop may wait for its turn among others, serving on (0 and negative: it does not). It
	// is part of Budget.
	TurnWait time.Duration
	// Turn waits for that turn, and says what ended it: TurnGiven, or TurnStoreAway. It returns soon after ctx is
	// done, and what it says then counts for nothing. nil: nobody waits.
	Turn func(ctx context.Context) TurnEnd

	// Health is told the state of the process and of each target; nil: a registry of
	// its own.
	Health *health.Registry
	// Quiet says for how long no new connection has carried a request, and whether
	// there were enough before to judge by; nil: never judged, the lame duck lasts max.
	// It must not call back into this package.
	Quiet func(now time.Time) (quiet time.Duration, judged bool)
	// Progress supplies the counts for the log of a stop; nil: none.
	Progress func() []slog.Attr
	// Reload is called for each SIGHUP, one at a time; signals that come meanwhile
	// count once. ctx ends with Run. nil: SIGHUP is ignored.
	Reload func(ctx context.Context)
	// Log is where the story goes; nil: nowhere.
	Log *slog.Logger
	// Interactive says that stderr is a terminal.
	Interactive bool
	// KeepOrphans turns off reaping. As PID 1 on Linux the manager waits for children
	// that nobody waited for within several seconds of their exit: orphans handed to
	// PID 1 by the kernel. A user of os/exec who calls Wait later than that would find
	// his child gone; one who must sets this.
	KeepOrphans bool

	// Signals replaces the signals of the process; nil: those.
	Signals <-chan os.Signal
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Faults is a test seam; its zero value breaks nothing.
	Faults Faults
}

// Faults is a test seam: each field breaks one rule so that the simulation can show
// that it notices. The zero value breaks none. Never set one in a product.
type Faults struct {
	ReadyLate       bool // readiness flips only after the services were drained (breaks invariant 5)
	AdmitEarly      bool // admits with one target missing (breaks G1)
	LameDuckSkipped bool // stops accepting at once
	DrainInOrder    bool // drains and closes in the order of Register
	DeadlineStays   bool // MoveDeadline says yes, and the drain is told nothing
	AckIgnored      bool // Acknowledge says yes, and the lame duck goes on
	TurnForEver     bool // waits for a turn without a deadline
}

// Defaults of Config.
const (
	DefaultLameDuckMin   = 5 * time.Second
	DefaultLameDuckMax   = 10 * time.Second
	DefaultLameDuckQuiet = 2 * time.Second
	DefaultTimeout       = 15 * time.Second
	DefaultGrace         = time.Second

	closeAllowance = 5 * time.Second // the default of Closing, and in that of Budget
)

// The rhythm of the log, and what counts as the same signal.
const (
	heartbeatEvery = 5 * time.Second
	unreadyEvery   = 15 * time.Second
	repeatWithin   = 250 * time.Millisecond
)

// Validate reports every fault of the configuration at once.
func (c Config) Validate() error {
	var errs *multierror.Error
	if c.Timeout < 0 {
		errs = multierror.Append(errs, fmt.Errorf("timeout is %s: a drain without a deadline is not offered; set drain.timeout to a positive duration", c.Timeout))
	}
	if c.Budget < 0 {
		errs = multierror.Append(errs, fmt.Errorf("budget is %s: a stop without an end is not offered; set platform.stop_timeout to a positive duration", c.Budget))
	}
	if d := c.withDefaults(); c.Budget > 0 && c.Budget < d.TurnWait+d.LameDuckMax+d.Timeout {
		errs = multierror.Append(errs, fmt.Errorf("budget is %s, less than lame_duck.max %s and drain.timeout %s%s together; raise platform.stop_timeout or lower them", c.Budget, d.LameDuckMax, d.Timeout, d.waitText()))
	}
	return errs.ErrorOrNil()
}

// waitText is the part of a turn in a sum, if there is one.
func (c Config) waitText() string {
	if c.TurnWait == 0 {
		return ""
	}
	return fmt.Sprintf(" and fleet.budget_wait %s", c.TurnWait)
}

// withDefaults fills in what is zero and turns negative (none) into zero.
func (c Config) withDefaults() Config {
	c.LameDuckMin = orDefault(c.LameDuckMin, DefaultLameDuckMin)
	c.LameDuckMax = max(orDefault(c.LameDuckMax, DefaultLameDuckMax), c.LameDuckMin)
	if c.LameDuckQuiet == 0 {
		c.LameDuckQuiet = DefaultLameDuckQuiet
	}
	c.Timeout = orDefault(c.Timeout, DefaultTimeout)
	c.Grace = orDefault(c.Grace, DefaultGrace)
	c.TurnWait = max(0, c.TurnWait)
	if c.Turn == nil {
		c.TurnWait = 0
	}
	c.Budget = orDefault(c.Budget, c.TurnWait+c.LameDuckMax+c.Timeout+closeAllowance)
	c.Closing = orDefault(c.Closing, closeAllowance)
	if c.Quiet == nil {
		c.Quiet = func(time.Time) (time.Duration, bool) { return 0, false }
	}
	if c.Progress == nil {
		c.Progress = func() []slog.Attr { return nil }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Health == nil {
		c.Health = health.NewRegistry(health.Config{Now: c.Now})
	}
	return c
}

func orDefault(d, def time.Duration) time.Duration {
	switch {
	case d == 0:
		return def
	case d < 0:
		return 0
	}
	return d
}
