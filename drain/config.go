package drain

import (
	"errors"
	"fmt"
	"time"
)

// Config is what an operator may set, and the seams of tests. The zero value means
// the documented defaults; a negative duration means none.
type Config struct {
	// NoticeAfter is how long after Leave goodbyes begin (default 2.5s): a client told
	// to leave while balancers still send it here only comes back.
	NoticeAfter time.Duration
	// NoticeSpread is over how long goodbyes are then spread until everybody who was here
	// before Leave is told (default: NoticeAfter).
	NoticeSpread time.Duration
	// IdleClose is how long a connection may stay idle while draining before it is
	// closed (default 5s, and never more than a third of the budget).
	IdleClose time.Duration
	// Timeout is the budget of a drain whose context has no deadline (default 15s).
	Timeout time.Duration
	// Settle is how long before the deadline what is left is cut (never more than a
	// tenth of the budget), and how long after the cut its Done is waited for
	// (default 250ms).
	Settle time.Duration
	// FarewellLead is how long before its time is over a tunnel hears CauseFarewell: the first
	// ones this long before, the last ones half of it (default 2s, and never more than a quarter
	// of the budget).
	FarewellLead time.Duration
	// AssumedRTT is the round trip by which the expected loss of an idle close is
	// estimated (default 50ms).
	AssumedRTT time.Duration
	// QuietArrivals is how many new connections with a request must have come in the
	// ten seconds before Leave for silence to mean anything (default 15).
	QuietArrivals int

	// Now is the clock; nil is time.Now. It must never go back.
	Now func() time.Time
	// AfterFunc runs f once after d and returns what prevents that; nil is
	// time.AfterFunc. A simulation supplies its own scheduler.
	AfterFunc func(d time.Duration, f func()) (stop func() bool)
	// Faults is a test seam; its zero value breaks nothing.
	Faults Faults
}

// Faults is a test seam: each field breaks one rule so that the simulation can show
// that it notices. The zero value breaks none. Never set one in a product.
type Faults struct {
	CountWithoutState bool // Track counts without looking at the state (breaks invariant 1)
	TunnelForgotten   bool // Tunnel gives the handle back (breaks invariant 7)
	IdleCloseFirst    bool // every idle connection is closed the moment draining begins
	QuiesceEarly      bool // quiescence is announced with one connection left
	NoDeadline        bool // nothing is ever cut
	GoodbyeNever      bool // nobody is told to leave
	ReceiptForgetsCut bool // cut connections do not appear in the receipt
	RouteTimeForgot   bool // Terms.Deadline is not looked at
	EvictNeighbour    bool // Evict asks whoever came before the one that was meant
}

// Defaults of Config. DESIGN: half of lame_duck.min, drain.idle_close, drain.timeout.
const (
	DefaultNoticeAfter   = 2500 * time.Millisecond
	DefaultIdleClose     = 5 * time.Second
	DefaultTimeout       = 15 * time.Second
	DefaultSettle        = 250 * time.Millisecond
	DefaultFarewellLead  = 2 * time.Second
	DefaultAssumedRTT    = 50 * time.Millisecond
	DefaultQuietArrivals = 15
)

// Validate reports every fault of the configuration at once.
func (c Config) Validate() error {
	var errs []error
	if c.Timeout < 0 {
		errs = append(errs, fmt.Errorf("timeout is %s: a drain without a deadline is not offered; set drain.timeout to a positive duration", c.Timeout))
	}
	if c.QuietArrivals < 0 {
		errs = append(errs, fmt.Errorf("quiet arrivals is %d: must not be negative", c.QuietArrivals))
	}
	return errors.Join(errs...)
}

// withDefaults fills in what is zero and turns negative (off) into zero.
func (c Config) withDefaults() Config {
	c.NoticeAfter = orDefault(c.NoticeAfter, DefaultNoticeAfter)
	c.NoticeSpread = orDefault(c.NoticeSpread, c.NoticeAfter)
	c.IdleClose = orDefault(c.IdleClose, DefaultIdleClose)
	c.Timeout = orDefault(c.Timeout, DefaultTimeout)
	c.Settle = orDefault(c.Settle, DefaultSettle)
	c.FarewellLead = orDefault(c.FarewellLead, DefaultFarewellLead)
	c.AssumedRTT = orDefault(c.AssumedRTT, DefaultAssumedRTT)
	if c.QuietArrivals == 0 {
		c.QuietArrivals = DefaultQuietArrivals
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.AfterFunc == nil {
		c.AfterFunc = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
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
