package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/netstat"
	"github.com/sluiceproxy/sluice/proxy"
)

// witnessed is the proxy as a service, with the kernel's counters read when its goodbye
// begins and when the last of its connections is gone.
type witnessed struct {
	*proxy.Server
	log *slog.Logger

	mu     sync.Mutex // guards what follows
	before netstat.Counters
	began  time.Time
	seen   *drain.Witness // nil: nothing can be said
}

// Admit implements lifecycle.Service. What an undone lame duck saw is forgotten.
func (w *witnessed) Admit() error {
	w.mu.Lock()
	w.before = nil
	w.mu.Unlock()
	return w.Server.Admit()
}

// LameDuck implements lifecycle.Service.
func (w *witnessed) LameDuck() {
	w.begin()
	w.Server.LameDuck()
}

// Drain implements lifecycle.Service.
func (w *witnessed) Drain(ctx context.Context) error {
	w.begin()
	err := w.Server.Drain(ctx)
	w.end()
	return err
}

func (w *witnessed) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.before != nil {
		return
	}
	counters, err := netstat.Read()
	if err != nil {
		w.log.Warn("the kernel's counters cannot be read; the receipt goes without its witness", "err", err)
		return
	}
	w.before, w.began = counters, time.Now()
}

func (w *witnessed) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.before == nil {
		return
	}
	after, err := netstat.Read()
	if err != nil {
		w.log.Warn("the kernel's counters cannot be read; the receipt goes without its witness", "err", err)
		return
	}
	since := func(table, name string) uint64 { return after.Since(w.before, table, name) }
	w.seen = &drain.Witness{
		Began: w.began, Ended: time.Now(), Own: netstat.OwnNamespace(),
		OutRsts:         since("Tcp", "OutRsts"),
		AbortOnClose:    since("TcpExt", "TCPAbortOnClose"),
		AbortOnData:     since("TcpExt", "TCPAbortOnData"),
		ListenOverflows: since("TcpExt", "ListenOverflows"),
		ListenDrops:     since("TcpExt", "ListenDrops"),
		SyncookiesSent:  since("TcpExt", "SyncookiesSent"),
	}
}

// testimony is what the kernel counted; nil if nothing can be said.
func (w *witnessed) testimony() *drain.Witness {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}
