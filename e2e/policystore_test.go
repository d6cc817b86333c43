package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// signedStore is a directory that policies are published to, and who may.
type signedStore struct {
	dir, src, key, state string
	up                   *upstream
}

func newSignedStore(t *testing.T) *signedStore {
	t.Helper()
	dir := t.TempDir()
	s := &signedStore{dir: filepath.Join(dir, "store"), src: filepath.Join(dir, "src"), key: filepath.Join(dir, "publisher.key"), state: filepath.Join(dir, "state"), up: newUpstream(t)}
	if err := os.Mkdir(s.src, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, code := command(t, "policy", "keygen", s.key); code != 0 {
		t.Fatalf("keygen: exit %d: %s", code, out)
	}
	return s
}

// publish makes the policy called name the version of a store, and returns its head.
func (s *signedStore) publish(t *testing.T, store, name string, more ...string) []byte {
	t.Helper()
	write(t, filepath.Join(s.src, "main.yaml"), policyFor(s.up.web, s.up.raw, name))
	args := append([]string{"policy", "publish", s.src, "--to", "dir:" + store, "--key", s.key, "--keys", s.key + ".pub", "--json"}, more...)
	out, code := printed(t, args...)
	if code != 0 {
		t.Fatalf("publish %s: exit %d: %s", name, code, out)
	}
	conforms(t, "policy-publish", out)
	head, err := os.ReadFile(filepath.Join(store, "head"))
	if err != nil {
		t.Fatal(err)
	}
	return head
}

// run starts a proxy on the store.
func (s *signedStore) run(t *testing.T) *sluice {
	t.Helper()
	return run(t, setup{env: []string{"SLUICE_POLICY_DIR=" + s.dir, "SLUICE_POLICY_LAYOUT=objects",
		"SLUICE_POLICY_KEYS_FILE=" + s.key + ".pub", "SLUICE_POLICY_STATE_DIR=" + s.state}})
}

// TestATamperedStoreIsRefused plays one who can write to the store and has no key: a head that was changed,
// stripped, replayed, expired or blown up, and a file that was changed. Each is refused, counted by its reason,
// and the last good version goes on; across a restart, too.
func TestATamperedStoreIsRefused(t *testing.T) {
	t.Parallel()
	store := newSignedStore(t)
	first := store.publish(t, store.dir, "v1")
	s := store.run(t)
	s.await(t, "serving", msg("serving"))
	good := store.publish(t, store.dir, "v2")
	inForce := func(p *sluice, number string) bool {
		return p.status(t)["policy"].(map[string]any)["version"] == number
	}
	eventually(t, "version 2 in force", func() bool { return inForce(s, "2") })

	head := filepath.Join(store.dir, "head")
	stripped, _, _ := bytes.Cut(good, []byte("untrusted comment:"))
	expired := store.publish(t, filepath.Join(t.TempDir(), "aside"), "v2", "--number", "3", "--expires", "1ms")
	counts := map[string]float64{}
	for _, c := range []struct{ name, reason, head string }{
		{"a head that was changed", "signature", strings.Replace(string(good), `"version": 2`, `"version": 9`, 1)},
		{"a head that was stripped", "signature", string(stripped)},
		{"an old head", "rollback", string(first)},
		{"an expired head", "expired", string(expired)},
		{"a huge head", "oversized", string(good) + strings.Repeat("\n", 4<<20)},
		{"what is no head", "signature", "hello\n"},
	} {
		write(t, head, c.head)
		counts[c.reason]++
		series := fmt.Sprintf("sluice_policy_rejected_total{reason=%q}", c.reason)
		eventually(t, c.name+" is counted", func() bool { v, _ := s.metric(t, series); return v == counts[c.reason] })
		policy := s.status(t)["policy"].(map[string]any)
		if rejected, ok := policy["rejected"].(map[string]any); policy["version"] != "2" || !ok || rejected["reason"] != c.reason {
			t.Errorf("%s: %v", c.name, policy)
		}
		if resp, err := http.Get("http://" + s.web + "/"); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: the last good policy does not serve: %v, %v", c.name, resp, err)
		} else {
			resp.Body.Close()
		}
		write(t, head, string(good))
		eventually(t, "the good head again", func() bool { v, _ := s.metric(t, "sluice_policy_newest_rejected"); return v == 0 })
	}

	// A file that is not the one that was signed, until it is.
	aside := filepath.Join(t.TempDir(), "aside")
	next := store.publish(t, aside, "v4", "--number", "4")
	objects, err := filepath.Glob(filepath.Join(aside, "objects", "*"))
	if err != nil || len(objects) != 1 {
		t.Fatal(objects, err)
	}
	right, err := os.ReadFile(objects[0])
	if err != nil {
		t.Fatal(err)
	}
	object := filepath.Join(store.dir, "objects", filepath.Base(objects[0]))
	write(t, object, strings.Replace(string(right), "admins", "engineers", 1))
	write(t, head, string(next))
	eventually(t, "the file is counted", func() bool { v, _ := s.metric(t, `sluice_policy_rejected_total{reason="hash"}`); return v == 1 })
	if !inForce(s, "2") {
		t.Error("a file that nobody signed came into force")
	}
	write(t, object, string(right))
	eventually(t, "version 4 in force", func() bool { return inForce(s, "4") })

	// Replayed across a restart: the state directory remembers.
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit %d", code)
	}
	write(t, head, string(good))
	again := store.run(t)
	eventually(t, "an old version is refused after a restart", func() bool {
		v, _ := again.metric(t, `sluice_policy_rejected_total{reason="rollback"}`)
		return v == 1
	})
	if code, body := again.probe(t, "/readyz"); code == http.StatusOK {
		t.Errorf("ready with a replayed version: %s", body)
	}
	write(t, head, string(next))
	again.await(t, "serving", msg("serving"))
}
