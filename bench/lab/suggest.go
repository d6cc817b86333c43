package lab

import (
	"context"
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/report"
)

// Suggestion is the smallest lame duck and drain that lost nothing here, and what was tried.
type Suggestion struct {
	LameDuck, Drain time.Duration
	Trials          []Trial
}

// Trial is one run with other times.
type Trial struct {
	LameDuck, Drain time.Duration
	Lost, Refused   int
}

// Clean says that nothing was lost or refused.
func (t Trial) Clean() bool { return t.Lost+t.Refused == 0 }

// Try runs with a lame duck and a drain.
type Try func(ctx context.Context, lameDuck, drain time.Duration) (Trial, error)

// Steps in which the times are looked for.
const (
	lameDuckStep = 100 * time.Millisecond
	drainStep    = 250 * time.Millisecond
)

// Suggest looks for the smallest lame duck and then the smallest drain that lose nothing,
// from times that are enough downwards, by halves. What it finds holds for this load, and
// chance has a part in it: leave room above.
func Suggest(ctx context.Context, enough Trial, try Try) (s Suggestion, err error) {
	run := func(lameDuck, drain time.Duration) (bool, error) {
		t, err := try(ctx, lameDuck, drain)
		if err == nil {
			s.Trials = append(s.Trials, t)
		}
		return t.Clean(), err
	}
	clean, err := run(enough.LameDuck, enough.Drain)
	if err != nil {
		return s, err
	}
	if !clean {
		return s, fmt.Errorf("a lame duck of %v and a drain of %v are not enough: start from more", enough.LameDuck, enough.Drain)
	}
	s.LameDuck, err = least(enough.LameDuck, lameDuckStep, func(d time.Duration) (bool, error) { return run(d, enough.Drain) })
	if err != nil {
		return s, err
	}
	s.Drain, err = least(enough.Drain, drainStep, func(d time.Duration) (bool, error) { return run(s.LameDuck, d) })
	return s, err
}

// least is the smallest multiple of step up to enough at which ok holds, if it holds from
// some point on.
func least(enough, step time.Duration, ok func(time.Duration) (bool, error)) (time.Duration, error) {
	low, high := 0, int((enough+step-1)/step) // low fails or is not known, high holds
	for high-low > 1 {
		mid := (low + high) / 2
		good, err := ok(time.Duration(mid) * step)
		if err != nil {
			return 0, err
		}
		if good {
			high = mid
		} else {
			low = mid
		}
	}
	return min(time.Duration(high)*step, enough), nil
}

// Trials makes runs of cfg with other times. A run whose generator was late is made again,
// a few times.
func Trials(cfg Config) Try {
	cfg = cfg.withDefaults()
	if cfg.Long == 0 {
		cfg.Long = cfg.LameDuck + cfg.LameDuck/2 // the load stays the same
	}
	return func(ctx context.Context, lameDuck, drain time.Duration) (Trial, error) {
		cfg.LameDuck, cfg.Drain = lameDuck, drain
		var r report.Run
		for range 3 {
			var err error
			if r, err = Roll(ctx, cfg); err != nil {
				return Trial{}, err
			}
			if r.Skipped != "" || r.Error != "" {
				return Trial{}, fmt.Errorf("%s%s", r.Skipped, r.Error)
			}
			if r.Generator.Valid {
				t := Trial{lameDuck, drain, r.Total.Lost, r.Total.Refused}
				cfg.Tell("lame duck %v, drain %v: %d lost, %d refused", lameDuck, drain, t.Lost, t.Refused)
				return t, nil
			}
			cfg.Tell("again: %s", r.Generator.Why)
		}
		return Trial{}, fmt.Errorf("the generator could not keep up: %s", r.Generator.Why)
	}
}
