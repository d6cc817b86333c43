package sdnotify_test

import (
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/health/sdnotify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// systemd is the other side: it notes what it hears, in the words of the protocol.
type systemd struct {
	mu    sync.Mutex
	heard []string
	deaf  error
}

var clock = regexp.MustCompile(`MONOTONIC_USEC=\d+`)

func (s *systemd) send(message string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deaf != nil {
		return false, s.deaf
	}
	message = clock.ReplaceAllString(message, "MONOTONIC_USEC=now")
	s.heard = append(s.heard, strings.ReplaceAll(message, "\n", "&"))
	return true, nil
}

func (s *systemd) goDeaf(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaf = err
}

// take returns what was heard since the last call, once everybody is at rest.
func (s *systemd) take() string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	heard := strings.Join(s.heard, " ")
	s.heard = nil
	return heard
}

// world is a notifier at work in a bubble.
type world struct {
	t        *testing.T
	systemd  *systemd
	registry *health.Registry
	n        *sdnotify.Notifier

	mu     sync.Mutex
	alive  bool
	exits  bool
	status string
}

func newWorld(t *testing.T, watchdog time.Duration) *world {
	w := &world{t: t, systemd: &systemd{}, registry: health.NewRegistry(health.Config{}), alive: true, exits: true, status: "s"}
	locked := func(b *bool) func() bool {
		return func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return *b
		}
	}
	w.n = sdnotify.New(sdnotify.Config{
		Health: w.registry, Alive: locked(&w.alive), Exiting: locked(&w.exits),
		Status: func() string {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.status
		},
		Every: time.Minute, Extend: 2 * time.Minute,
		Send:     w.systemd.send,
		Watchdog: func() (time.Duration, error) { return watchdog, nil },
	})
	if err := w.n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	synctest.Wait() // it has told how things are at the start
	return w
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) want(what, want string) {
	w.t.Helper()
	if got := w.systemd.take(); got != want {
		w.t.Errorf("%s: heard %q, want %q", what, got, want)
	}
}

const extended = "EXTEND_TIMEOUT_USEC=120000000"

func TestWholeLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		w.registry.Declare("policy", health.Required)
		w.want("started", "STATUS=s "+extended)
		w.registry.SetProcess(health.ProcessServing, "")
		w.want("serving, a check missing", "")
		time.Sleep(time.Minute)
		w.want("still not ready", extended)
		w.registry.Set("policy", health.Running, nil)
		w.want("ready", "READY=1")
		time.Sleep(time.Hour)
		w.want("an hour of service", "")
		w.registry.Set("policy", health.Failed, nil)
		w.registry.Set("policy", health.Running, nil)
		w.want("READY is said once", "")
		w.set(func() { w.status = "lame duck, 5s left" })
		w.registry.SetProcess(health.ProcessLameDuck, "SIGTERM")
		w.want("SIGTERM", "STOPPING=1&STATUS=lame duck, 5s left "+extended)
		w.set(func() { w.status = "draining: 2 connections, 15s left" })
		w.registry.SetProcess(health.ProcessDraining, "")
		w.want("draining", "STATUS=draining: 2 connections, 15s left")
		time.Sleep(time.Minute)
		w.want("long drain", extended)
		w.set(func() { w.status = "bye" })
		w.n.Close()
		w.want("the last word", "STATUS=bye")
		w.n.Close() // again is harmless
		w.registry.SetProcess(health.ProcessServing, "")
		time.Sleep(time.Hour)
		w.want("after Close", "")
	})
}

func TestUndoSaysReadyAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		defer w.n.Close()
		w.registry.SetProcess(health.ProcessServing, "")
		w.want("ready", "STATUS=s "+extended+" READY=1")
		w.registry.SetProcess(health.ProcessLameDuck, "")
		w.want("lame duck", "STOPPING=1 "+extended)
		w.registry.SetProcess(health.ProcessServing, "undone")
		w.want("undone", "READY=1")
		time.Sleep(time.Hour)
		w.want("an hour of service", "")
	})
}

// systemd would kill a process that parks, or that undoes its drain, TimeoutStopSec
// after STOPPING=1.
func TestADrainThatDoesNotExitIsNoStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		defer w.n.Close()
		w.set(func() { w.exits = false })
		w.registry.SetProcess(health.ProcessServing, "")
		w.want("ready", "STATUS=s "+extended+" READY=1")
		w.registry.SetProcess(health.ProcessLameDuck, "drain requested")
		w.registry.SetProcess(health.ProcessDraining, "")
		w.registry.SetProcess(health.ProcessDrained, "parked")
		time.Sleep(time.Hour)
		w.want("parked", "")
		w.set(func() { w.exits = true })
		w.registry.SetProcess(health.ProcessDraining, "SIGTERM")
		w.want("SIGTERM", "STOPPING=1 "+extended)
	})
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		defer w.n.Close()
		failure := errors.New("no such file")
		reload := func() error { time.Sleep(time.Second); return failure }
		if err := w.n.Reload(reload); err != failure {
			t.Errorf("reload returned %v", err)
		}
		w.want("reload while starting: READY would be a lie", "STATUS=s "+extended)

		w.registry.SetProcess(health.ProcessServing, "")
		w.want("ready", "READY=1")
		w.n.Reload(reload)
		w.want("reload", "RELOADING=1&MONOTONIC_USEC=now READY=1")
		w.n.Reload(func() error { return nil }) // over before anybody looks
		w.want("reload at once", "RELOADING=1&MONOTONIC_USEC=now READY=1")

		done := make(chan error)
		go func() { done <- w.n.Reload(reload) }()
		w.want("first", "RELOADING=1&MONOTONIC_USEC=now")
		time.Sleep(time.Second / 2)
		go func() { done <- w.n.Reload(reload) }()
		w.want("second within the first", "RELOADING=1&MONOTONIC_USEC=now")
		<-done
		w.want("the first ends", "")
		<-done
		w.want("both ended", "READY=1")

		go func() { done <- w.n.Reload(reload) }()
		w.want("reload", "RELOADING=1&MONOTONIC_USEC=now")
		w.registry.SetProcess(health.ProcessDraining, "SIGTERM")
		w.want("a stop ends a reload", "STOPPING=1 "+extended)
		<-done
		w.want("no READY after STOPPING", "")
	})
}

func TestWatchdogIsFedOnlyWhileAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 20*time.Second)
		defer w.n.Close()
		w.registry.SetProcess(health.ProcessServing, "")
		w.want("ready", "STATUS=s "+extended+" READY=1")
		time.Sleep(30 * time.Second)
		w.want("twice as often as asked for", "WATCHDOG=1 WATCHDOG=1 WATCHDOG=1")
		w.set(func() { w.alive = false })
		w.registry.SetProcess(health.ProcessDraining, "")
		time.Sleep(time.Hour)
		w.want("hanging: neither fed nor extended", "STOPPING=1")
		w.set(func() { w.alive = true })
		time.Sleep(10 * time.Second)
		w.want("progress again", "WATCHDOG=1")
	})
}

// What an error says must not become an assignment.
func TestStatusIsOneBoundedLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		defer w.n.Close()
		w.systemd.take()
		w.set(func() { w.status = "no such file:\nREADY=1\r\x00\xff" + strings.Repeat("ü", 1000) })
		w.registry.Set("x", health.Running, nil)
		got := w.systemd.take()
		if !strings.HasPrefix(got, "STATUS=no such file: READY=1  ?üü") || !strings.HasSuffix(got, "ü...") || len(got) > 520 {
			t.Errorf("heard %d bytes: %q", len(got), got)
		}
	})
}

// A message that got lost is told again: systemd may have been executing itself anew.
func TestLostMessagesAreToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		defer w.n.Close()
		w.systemd.take()
		w.systemd.goDeaf(errors.New("connection refused"))
		w.registry.SetProcess(health.ProcessServing, "")
		w.want("deaf", "")
		w.systemd.goDeaf(nil)
		time.Sleep(time.Minute)
		w.want("hears again", "READY=1&STATUS=s")
		time.Sleep(time.Hour)
		w.want("and once is enough", "")
	})
}

func TestNobodyToTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		r := health.NewRegistry(health.Config{})
		n := sdnotify.New(sdnotify.Config{
			Health: r, Alive: func() bool { return true },
			Send: func(string) (bool, error) { asked++; return false, nil },
		})
		if err := n.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.SetProcess(health.ProcessServing, "")
		if err := n.Reload(func() error { return nil }); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if err := n.Close(); err != nil || asked != 1 {
			t.Errorf("asked %d times, %v", asked, err)
		}
	})
}

func TestMissingAliveIsABug(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a watchdog without evidence was accepted")
		}
	}()
	sdnotify.New(sdnotify.Config{Health: health.NewRegistry(health.Config{})})
}
