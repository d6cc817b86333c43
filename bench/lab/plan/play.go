package plan

import (
	"context"
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/replica"
)

// Play restarts by a plan. The restarts that were made are returned with an error too.
func (w *World) Play(ctx context.Context, k Kind) ([]Restart, error) {
	switch k {
	case Sequential:
		return w.each(ctx, w.stopThenStart)
	case Surge:
		return w.each(ctx, func(ctx context.Context, i int, old *Member) (Restart, error) { return w.surge(ctx, i, old, 0) })
	case SlowSync:
		return w.each(ctx, func(ctx context.Context, i int, old *Member) (Restart, error) {
			return w.surge(ctx, i, old, w.cfg.SyncDelay)
		})
	case Upgrade:
		return w.each(ctx, w.upgrade)
	case Kill9:
		return w.each(ctx, w.kill)
	case AllAtOnce:
		return w.allAtOnce(ctx)
	case UpstreamRoll:
		return w.upstreamRoll(ctx)
	case ScaleOut:
		return w.scaleOut(ctx)
	case ScaleIn:
		return w.scaleIn(ctx)
	case PolicyOutage:
		return w.policyOutage(ctx)
	}
	return nil, fmt.Errorf("no plan %q", k)
}

// each plays one slot after the other.
func (w *World) each(ctx context.Context, one func(context.Context, int, *Member) (Restart, error)) (all []Restart, err error) {
	for i, old := range w.serving() {
		r, err := one(ctx, i, old)
		r.Ended = time.Now()
		all = append(all, r)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func begun(old *Member) Restart {
	return Restart{Replica: old.Name, Began: time.Now(), Before: old.Identity}
}

// replace starts the next replica of a slot and waits until it is in.
func (w *World) replace(ctx context.Context, i int, slot string, r *Restart, syncDelay time.Duration) error {
	next, err := w.start(ctx, slot, syncDelay)
	if err != nil {
		return err
	}
	r.Successor = next.Name
	if err := w.admit(ctx, next); err != nil {
		return err
	}
	r.After = next.Identity
	w.put(i, next)
	return nil
}

func (w *World) stopThenStart(ctx context.Context, i int, old *Member) (Restart, error) {
	r := begun(old)
	if err := w.stop(ctx, old); err != nil {
		return r, err
	}
	if err := w.replace(ctx, i, old.Slot, &r, 0); err != nil {
		return r, err
	}
	w.prove(ctx, &r)
	return r, nil
}

func (w *World) surge(ctx context.Context, i int, old *Member, syncDelay time.Duration) (Restart, error) {
	r := begun(old)
	if _, ok := old.Instance.(replica.PolicySource); syncDelay > 0 && !ok {
		return r, fmt.Errorf("%s: a late policy: %w", old.Name, replica.ErrCannot)
	}
	if err := w.replace(ctx, i, old.Slot, &r, syncDelay); err != nil {
		return r, err
	}
	if err := w.stop(ctx, old); err != nil {
		return r, err
	}
	w.prove(ctx, &r)
	return r, nil
}

func (w *World) upgrade(ctx context.Context, _ int, old *Member) (r Restart, err error) {
	r = begun(old)
	if r.Before, err = old.Instance.Identity(ctx); err != nil {
		return r, err
	}
	limit := w.cfg.Settings.LameDuck + w.cfg.Settings.Drain + w.cfg.Patience
	within, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s was not upgraded within %v", old.Name, limit))
	defer cancel()
	w.cfg.Tell("%s is upgraded in place", old.Name)
	if err := old.Instance.Upgrade(within); err != nil {
		return r, fmt.Errorf("%s: %w", old.Name, err)
	}
	r.Successor = old.Name
	if r.After, err = old.Instance.Identity(ctx); err != nil {
		return r, err
	}
	w.cfg.Tell("%s is now %s", old.Name, r.After)
	w.prove(ctx, &r)
	return r, nil
}

func (w *World) kill(ctx context.Context, i int, old *Member) (Restart, error) {
	r := begun(old)
	w.cfg.Tell("%s is killed", old.Name)
	r.InFlight, r.KilledAt = w.cfg.InFlight(old.Name), time.Now()
	if err := old.Instance.Kill(); err != nil {
		return r, err
	}
	r.DeadAt = time.Now()
	w.cfg.Balancer.Gone(old.Name)
	if err := w.replace(ctx, i, old.Slot, &r, 0); err != nil {
		return r, err
	}
	w.prove(ctx, &r)
	return r, nil
}

func (w *World) allAtOnce(ctx context.Context) ([]Restart, error) {
	olds := w.serving()
	all := make([]Restart, len(olds))
	err := together(len(olds), func(i int) error {
		all[i] = begun(olds[i])
		return w.stop(ctx, olds[i])
	})
	if err != nil {
		return all, err
	}
	err = together(len(olds), func(i int) error { return w.replace(ctx, i, olds[i].Slot, &all[i], 0) })
	for i := range all {
		w.prove(ctx, &all[i])
		all[i].Ended = time.Now()
	}
	return all, err
}

// rolls of the upstream.
const rolls = 3

func (w *World) upstreamRoll(ctx context.Context) (all []Restart, err error) {
	for range rolls {
		r := Restart{Replica: "upstream", Successor: "upstream", Began: time.Now(), Before: replica.Identity{Generation: w.cfg.Origin.Generation()}}
		w.cfg.Tell("the upstream restarts")
		within, cancel := context.WithTimeout(ctx, w.cfg.Patience)
		err := w.cfg.Origin.Roll(within)
		cancel()
		r.After, r.Ended = replica.Identity{Generation: w.cfg.Origin.Generation()}, time.Now()
		r.Proven = err == nil && !r.After.Same(r.Before)
		all = append(all, r)
		if err != nil {
			return all, fmt.Errorf("upstream: %w", err)
		}
	}
	return all, nil
}

func (w *World) scaleOut(ctx context.Context) ([]Restart, error) {
	n := len(w.serving())
	all := make([]Restart, n)
	err := together(n, func(i int) error {
		all[i] = Restart{Began: time.Now()}
		defer func() { all[i].Ended = time.Now() }()
		err := w.replace(ctx, n+i, slotName(n+i), &all[i], 0)
		if err == nil {
			w.prove(ctx, &all[i])
		}
		return err
	})
	return all, err
}

func (w *World) scaleIn(ctx context.Context) ([]Restart, error) {
	olds := w.serving()[1:]
	all := make([]Restart, len(olds))
	err := together(len(olds), func(i int) error {
		all[i] = begun(olds[i])
		defer func() { all[i].Ended = time.Now() }()
		err := w.stop(ctx, olds[i])
		all[i].Proven = err == nil
		return err
	})
	return all, err
}

// policyOutage takes the source of every replica's policy away. Those that run go on; one
// that starts meanwhile must not serve before it is back.
func (w *World) policyOutage(ctx context.Context) (all []Restart, err error) {
	olds := w.serving()
	for _, m := range olds {
		p, ok := m.Instance.(replica.PolicySource)
		if !ok {
			return nil, fmt.Errorf("%s: a policy that goes away: %w", m.Name, replica.ErrCannot)
		}
		if err := p.BreakPolicy(); err != nil {
			return nil, err
		}
	}
	w.cfg.Tell("the policy's source is away")
	r, err := w.surge(ctx, 0, olds[0], w.cfg.SyncDelay)
	r.Ended = time.Now()
	for _, m := range olds[1:] {
		if err := m.Instance.(replica.PolicySource).RestorePolicy(); err != nil {
			return append(all, r), err
		}
	}
	w.cfg.Tell("the policy's source is back")
	return append(all, r), err
}
