package main

import (
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/health/httpprobe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// `health` has 0 and 1 only: 2 is reserved where Docker runs it.
func TestHealthFailsWithOne(t *testing.T) {
	for _, args := range [][]string{{"health", "--bogus"}, {"health", "extra"}, {"health", "--wait", "soon"}, {"health", "-c", "missing.yaml"}} {
		if got := execute(args); got != exitFailed {
			t.Errorf("%v: exit %d, want %d", args, got, exitFailed)
		}
	}
}

// A fault that was edited into the file of a running proxy must not restart it.
func TestHealthAsksDespiteFaultsElsewhere(t *testing.T) {
	registry := health.NewRegistry(health.Config{})
	defer registry.Close()
	s := httptest.NewServer(httpprobe.New(registry, health.OurNames))
	defer s.Close()
	file := write(t, "s.yaml", "version: 1\nprobes: {address: \""+s.Listener.Addr().String()+"\"}\ndrain2: {}\n")
	if got := execute([]string{"health", "--live", "-c", file}); got != exitOK {
		t.Errorf("exit %d, want 0", got)
	}
}

// --public would leave a policy that is there unread and everything open.
func TestPublicExcludesAPolicy(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // taken: a run that got so far fails with 1
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dir := t.TempDir()
	file := write(t, "s.yaml", "version: 1\nlisteners: [{name: web, address: \""+ln.Addr().String()+"\"}]\npolicy: {dir: "+dir+"}\n")
	for _, args := range [][]string{
		{"run", "--listen", ln.Addr().String(), "--to", "127.0.0.1:1", "--public", "--policy", dir},
		{"run", "--listen", ln.Addr().String(), "--to", "127.0.0.1:1", "--public", "--policy-dir", dir},
		{"run", "--config", file, "--to", "127.0.0.1:1", "--public"},
	} {
		args = append(args, "--probes-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0")
		if got := execute(args); got != exitUsage {
			t.Errorf("%v: exit %d, want %d", args, got, exitUsage)
		}
	}
}
