package main

import (
	"context"
	"errors"
	"time"

	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/lifecycle/handover"
)

// takeover follows a predecessor until this process is alone, which it is from the start if
// there is none. It is a service of package lifecycle by its shape, and the last to start.
type takeover struct {
	app    *app
	target *lifecycle.Target // nil: no predecessor

	cancel context.CancelFunc
	done   chan struct{} // closed by follow
}

// Name implements lifecycle.Service.
func (t *takeover) Name() string { return "takeover" }

// Start implements lifecycle.Service. Every socket that is wanted was claimed by now.
func (t *takeover) Start(context.Context) error {
	h := &t.app.hand
	for _, name := range h.given.Unclaimed() {
		t.app.log.Warn("a socket that was passed is not used: no listener has its name and address", "name", name)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.cancel, t.done = cancel, make(chan struct{})
	if t.target == nil {
		close(t.done)
		t.alone()
		return nil
	}
	t.target.Waiting(errors.New("the predecessor has not said yet that this policy is as new as its own"))
	go t.follow(ctx) // ends when alone, or with Close
	return nil
}

// follow does what the predecessor says. What it says is latched and in this order.
func (t *takeover) follow(ctx context.Context) {
	defer close(t.done)
	tick := time.NewTicker(handover.ReportEvery)
	defer tick.Stop()
	h := &t.app.hand
	permitted, switched, kept := h.given.Link.Permitted(), h.given.Link.Switched(), h.given.Link.Kept()
	for {
		select {
		case <-permitted:
			permitted = nil // once
			t.target.Ready()
		case <-switched:
			switched = nil
			h.doors.Ours()
			if f := t.app.fleet; f != nil {
				f.member.Retire(false)
			}
			if err := t.app.server.TakeOver(); err != nil {
				t.app.manager.Failed(t.app.server.Name(), err)
			}
			for _, gate := range h.gates {
				gate.Open()
			}
			t.app.log.Info("took over", "generation", h.generation, "predecessor", h.given.Offer.PID)
		case <-kept:
			kept = nil
			if f := t.app.fleet; f != nil {
				f.member.Retire(true)
			}
			if switched == nil {
				t.app.kept()
			}
		case <-h.given.Link.Alone():
			if permitted != nil || switched != nil {
				continue // those first
			}
			t.alone()
			return
		case <-tick.C:
			// A predecessor that cannot be told is gone, and then the link says so.
			_ = h.voice.Report()
		case <-ctx.Done():
			return
		}
	}
}

// alone says that nobody but systemd may hold the sockets any more.
func (t *takeover) alone() {
	h := &t.app.hand
	h.doors.Left()
	if err := errors.Join(h.voice.Alone(), h.voice.Forget(h.given), h.voice.Store(h.doors)); err != nil {
		t.app.log.Warn("systemd cannot be notified", "err", err)
	}
	if t.target != nil {
		t.app.log.Info("alone: the predecessor holds no socket any more", "generation", h.generation)
	}
}

// Admit implements lifecycle.Service.
func (t *takeover) Admit() error { return nil }

// LameDuck implements lifecycle.Service.
func (t *takeover) LameDuck() {}

// Drain implements lifecycle.Service.
func (t *takeover) Drain(context.Context) error { return nil }

// Close implements lifecycle.Service.
func (t *takeover) Close() error {
	t.cancel()
	<-t.done
	if l := t.app.hand.given.Link; l != nil {
		l.Close()
	}
	return nil
}
