package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/health"
)

const (
	shortageLook = 100 * time.Millisecond // how often it is tried to get a descriptor
	shortageTold = time.Second            // for how long there has to be none before readiness turns
)

// shortage turns readiness while no descriptor is to be had: balancers should send
// elsewhere, since nobody new can be accepted here. What is open goes on, and when there
// are descriptors again it turns back by itself. The drivers go on trying to accept
// meanwhile. It is a service of package lifecycle by its shape.
type shortage struct {
	registry *health.Registry
	log      *slog.Logger
	try      func() error // gets a descriptor and gives it back

	wake   chan struct{} // of capacity 1, never closed
	cancel context.CancelFunc
	done   chan struct{} // closed by run
}

func newShortage(r *health.Registry, log *slog.Logger, try func() error) *shortage {
	r.Declare(health.ProxyListener, health.Required)
	r.Set(health.ProxyListener, health.Running, nil)
	return &shortage{registry: r, log: log, try: try, wake: make(chan struct{}, 1)}
}

// note hears of every accept that failed. Any goroutine may call it; it does not block.
func (s *shortage) note(err error) {
	if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default: // it is looking already, or will
	}
}

func (s *shortage) run(ctx context.Context) {
	defer close(s.done)
	for {
		select {
		case <-s.wake:
			s.watch(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// watch ends when a descriptor is to be had.
func (s *shortage) watch(ctx context.Context) {
	began, told := time.Now(), false
	tick := time.NewTicker(shortageLook)
	defer tick.Stop()
	for {
		err := s.try()
		if err == nil {
			if told {
				s.registry.Set(health.ProxyListener, health.Running, nil)
				s.log.Info("file descriptors are to be had again", "after", time.Since(began).String())
			}
			return
		}
		if !told && time.Since(began) > shortageTold {
			told = true
			err = fmt.Errorf("no file descriptor for a new connection (raise the limit: ulimit -n, LimitNOFILE; or lower limits.max_connections): %w", err)
			s.registry.Set(health.ProxyListener, health.Failed, err)
			s.log.Error("nobody new can be accepted", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *shortage) Name() string { return "descriptors" }

func (s *shortage) Start(context.Context) error {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.done = cancel, make(chan struct{})
	go s.run(ctx) // ends with Close
	return nil
}

func (s *shortage) Admit() error                { return nil }
func (s *shortage) LameDuck()                   {}
func (s *shortage) Drain(context.Context) error { return nil }

func (s *shortage) Close() error {
	s.cancel()
	<-s.done
	return nil
}
