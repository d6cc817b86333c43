package sdnotify_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/health/sdnotify"
)

// The real thing: a datagram socket named by NOTIFY_SOCKET, as systemd has it.
func TestRealSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", "")

	var seen []string
	until := func(want string) {
		t.Helper()
		socket.SetReadDeadline(time.Now().Add(10 * time.Second))
		b := make([]byte, 4096)
		for {
			n, _, err := socket.ReadFromUnix(b)
			if err != nil {
				t.Fatalf("waiting for %q after %q: %v", want, seen, err)
			}
			seen = append(seen, string(b[:n]))
			if strings.Contains(string(b[:n]), want) {
				return
			}
		}
	}
	r := health.NewRegistry(health.Config{})
	n := sdnotify.New(sdnotify.Config{Health: r, Alive: func() bool { return true }})
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	until("STATUS=not ready: Starting")
	until("EXTEND_TIMEOUT_USEC=15000000")
	until("WATCHDOG=1")
	for _, s := range seen {
		if strings.Contains(s, "READY=1") {
			t.Errorf("READY before it was: %q", seen)
		}
	}
	r.SetProcess(health.ProcessServing, "admitted")
	until("READY=1\nSTATUS=serving")
	n.Reload(func() error { return nil })
	until("RELOADING=1\nMONOTONIC_USEC=")
	if last := seen[len(seen)-1]; strings.HasSuffix(last, "=") || strings.HasSuffix(last, "\n") {
		t.Errorf("reload is announced as %q", last)
	}
	until("READY=1")
	r.SetProcess(health.ProcessLameDuck, "SIGTERM")
	until("STOPPING=1\nSTATUS=not ready: LameDuck")
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

// A NOTIFY_SOCKET that leads nowhere does not keep the process from serving.
func TestSocketLeadsNowhere(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	t.Setenv("WATCHDOG_USEC", "nonsense")
	n := sdnotify.New(sdnotify.Config{Health: health.NewRegistry(health.Config{}), Alive: func() bool { return true }})
	if err := n.Start(t.Context()); err != nil {
		t.Error(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}
