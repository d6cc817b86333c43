package tunnel

import "time"

// Config bounds a tunnel. Zero means the default, negative durations mean off.
type Config struct {
	Idle     time.Duration // no byte moved either way while both sides are open; 0 is 1 h
	HalfOpen time.Duration // no byte moved and at least one side has ended; 0 is 5 min
	High     int           // bytes queued towards one side at which the other is paused; 0 is 256 KiB
	Low      int           // bytes queued at which it is resumed, below High; 0 is High/4
}

func (c Config) orDefaults() Config {
	if c.Idle == 0 {
		c.Idle = time.Hour
	}
	if c.HalfOpen == 0 {
		c.HalfOpen = 5 * time.Minute
	}
	if c.High <= 0 {
		c.High = 256 << 10
	}
	if c.Low <= 0 || c.Low >= c.High {
		c.Low = c.High / 4
	}
	return c
}

// State is where a tunnel is.
//
//	Open --EOF--> HalfClosed --EOF--> Flushing --drained--> Finished
//	  \______________\_______Closed early_______> Breaking --drained--> Finished
//
// Timeouts, Evict and Leave lead from each to Finished. Flushing and Breaking are passed
// through in one step if nothing is queued.
type State uint8

// The states. The zero value is a tunnel that was not started.
const (
	NotStarted State = iota // before Start
	Open                    // both directions flow
	HalfClosed              // one side has ended, the other may still send
	Flushing                // both have ended, bytes are queued
	Breaking                // one connection is gone early, bytes are queued towards the other
	Finished                // final
)

func (s State) String() string {
	switch s {
	case NotStarted:
		return "not_started"
	case Open:
		return "open"
	case HalfClosed:
		return "half_closed"
	case Flushing:
		return "flushing"
	case Breaking:
		return "breaking"
	case Finished:
		return "finished"
	}
	return "invalid"
}
