package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// G6: liveness never depends on a dependency. A shared outage never restarts or
// de-rotates a fleet.

// TestG6PolicySourceGone removes the directory of the policy under a running proxy.
func TestG6PolicySourceGone(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{})
	if err := os.Rename(s.file("policy"), s.file("gone")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the outage is told", func() bool {
		got, _ := s.metric(t, `sluice_health_check_status{check="storage.backend",status="degraded"}`)
		return got == 1
	})
	s.stillServes(t)
	if _, body := s.probe(t, "/status"); !strings.Contains(body, "DEGRADED") {
		t.Errorf("/status does not say that something is degraded: %s", body)
	}
	if err := os.Rename(s.file("gone"), s.file("policy")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the recovery is told", func() bool {
		got, _ := s.metric(t, `sluice_health_check_status{check="storage.backend",status="running"}`)
		return got == 1
	})
	s.stillServes(t)
}

// TestG6KeyFileGone removes the key file: the keys in force stay.
func TestG6KeyFileGone(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{})
	if err := os.Remove(s.file("keys.yaml")); err != nil {
		t.Fatal(err)
	}
	if out, code := s.cli(t, "reload", "--config", s.file("sluice.yaml")); code != 1 {
		t.Errorf("reload without a key file: exit %d, want 1: %s", code, out)
	}
	s.stillServes(t)
	if got, _ := s.metric(t, `sluice_config_reloads_total{result="failure"}`); got != 1 {
		t.Errorf("failed reloads: %v, want 1", got)
	}
}

// TestG6UpstreamGone closes the only upstream: requests are answered 502, and neither
// probe blames the proxy.
func TestG6UpstreamGone(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	gone := freeAddress(t)
	s := serve(t, up, setup{policy: policyFor(gone, up.raw, "v1")})
	for range 3 {
		if a, err := once(s.web, get("/")); err != nil || a.status != 502 {
			t.Errorf("without an upstream: %d %v, want 502", a.status, err)
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/startupz"} {
		if code, body := s.probe(t, path); code != 200 {
			t.Errorf("%s says %d %s, want 200", path, code, body)
		}
	}
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// stillServes asserts that the proxy is live and ready, and serves by policy and keys.
func (s *sluice) stillServes(t *testing.T) {
	t.Helper()
	for _, path := range []string{"/livez", "/readyz", "/startupz"} {
		if code, body := s.probe(t, path); code != 200 {
			t.Errorf("%s says %d %s, want 200", path, code, body)
		}
	}
	for _, c := range []struct {
		path, key string
		want      int
	}{{"/", "", 200}, {"/private", "", 401}, {"/private", goodKey, 200}, {"/secret", goodKey, 403}} {
		request := get(c.path)
		if c.key != "" {
			request = get(c.path, "X-Api-Key: "+c.key)
		}
		if a, err := once(s.web, request); err != nil || a.status != c.want {
			t.Errorf("GET %s: %d %v, want %d", c.path, a.status, err, c.want)
		}
	}
}
