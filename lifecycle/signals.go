package lifecycle

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// listen returns where signals arrive and what ends that. SIGQUIT is not asked for:
// the runtime answers it with the goroutines. SIGPIPE and the rest keep their defaults.
func (m *Manager) listen() (<-chan os.Signal, func()) {
	if m.cfg.Signals != nil {
		return m.cfg.Signals, func() {}
	}
	// Room for every signal of an impatient operator between two steps; more would be
	// repeats within 250 ms.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt, syscall.SIGHUP)
	return signals, func() { signal.Stop(signals) }
}

// reloader calls Reload, one call at a time; what is asked meanwhile counts once.
type reloader struct {
	asked chan struct{}      // of capacity 1, sent to by ask, never closed
	end   context.CancelFunc // stops run
	done  chan struct{}      // closed by run
}

func startReloader(ctx context.Context, reload func(context.Context)) *reloader {
	ctx, end := context.WithCancel(ctx)
	r := &reloader{asked: make(chan struct{}, 1), end: end, done: make(chan struct{})}
	if reload == nil {
		close(r.done)
		return r
	}
	// Owned by the reloader; stopped and joined by stop.
	go r.run(ctx, reload)
	return r
}

func (r *reloader) run(ctx context.Context, reload func(context.Context)) {
	defer close(r.done)
	for {
		select {
		case <-r.asked:
			reload(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (r *reloader) ask() {
	select {
	case r.asked <- struct{}{}:
	default:
	}
}

// stop waits for a reload that is under way, but no longer than grace: Run always
// returns.
func (r *reloader) stop(grace time.Duration) {
	r.end()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
	}
}
