package main

import (
	"context"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/health"
)

// Readiness turns once there is no descriptor for more than a second, and back by itself.
func TestShortage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gone atomic.Bool
		r := health.NewRegistry(health.Config{})
		s := newShortage(r, slog.New(slog.DiscardHandler), func() error {
			if gone.Load() {
				return syscall.EMFILE
			}
			return nil
		})
		if err := s.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r.SetProcess(health.ProcessServing, "")
		after := func(d time.Duration, want bool, when string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if v := r.Snapshot().Verdict(health.Ready); v.OK != want {
				t.Errorf("%s: ready %t, want %t (%s)", when, v.OK, want, v)
			}
		}
		accept := os.NewSyscallError("accept4", syscall.EMFILE)
		gone.Store(true)
		after(5*time.Second, true, "nobody came")
		s.note(os.NewSyscallError("accept4", syscall.ECONNABORTED))
		after(5*time.Second, true, "another error")
		s.note(accept)
		after(900*time.Millisecond, true, "short of descriptors for less than a second")
		gone.Store(false)
		after(200*time.Millisecond, true, "there are some again")
		gone.Store(true)
		s.note(accept)
		after(1300*time.Millisecond, false, "short of descriptors for longer")
		if !r.Snapshot().Verdict(health.Live).OK {
			t.Error("a shortage must not make a supervisor restart us")
		}
		s.note(accept)
		after(time.Minute, false, "for a long time")
		gone.Store(false)
		after(shortageLook, true, "there are some again")
	})
}
