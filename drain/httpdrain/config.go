package httpdrain

import (
	"log/slog"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// Config says how long things may take. The zero value means the documented defaults, which
// fit the 30 s of Kubernetes; a negative duration means none.
type Config struct {
	// LameDuckMin is how long the server goes on accepting after it has ceased to be ready
	// (default 5s): for so long balancers may not have noticed.
	LameDuckMin time.Duration
	// LameDuckMax is how long it does so at most (default 10s).
	LameDuckMax time.Duration
	// Quiet ends the lame duck, after LameDuckMin, once no new connection has carried a
	// request for so long (default 2s).
	Quiet time.Duration
	// Linger is how long a close waits for the client's FIN, so that no reset overtakes a
	// response (default 1s).
	Linger time.Duration
	// Drain bounds what comes after the lame duck.
	Drain drain.Config
	// Log tells the phases; nil: nowhere.
	Log *slog.Logger
}

// Defaults of Config.
const (
	DefaultLameDuckMin = 5 * time.Second
	DefaultLameDuckMax = 10 * time.Second
	DefaultQuiet       = 2 * time.Second
	DefaultLinger      = time.Second
)

func (c Config) withDefaults() Config {
	c.LameDuckMin = orDefault(c.LameDuckMin, DefaultLameDuckMin)
	c.LameDuckMax = max(c.LameDuckMin, orDefault(c.LameDuckMax, DefaultLameDuckMax))
	c.Quiet = orDefault(c.Quiet, DefaultQuiet)
	c.Linger = orDefault(c.Linger, DefaultLinger)
	if c.Drain.NoticeAfter == 0 {
		c.Drain.NoticeAfter = c.LameDuckMin / 2
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
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
