package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// ofSessions is what a process says of its sessions, in numbers and words.
func ofSessions(t *testing.T, s *sluice, args ...string) (ring string, entries float64) {
	t.Helper()
	out, code := s.cli(t, append([]string{"status", "--json", "--config", s.file("sluice.yaml")}, args...)...)
	if code != 0 {
		return out, -1
	}
	var all map[string]any
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("status: %v in %s", err, out)
	}
	of, _ := all["sessions"].(map[string]any)
	ring, _ = of["ring"].(string)
	list, _ := of["revocations"].(map[string]any)
	entries, _ = list["entries"].(float64)
	return ring, entries
}

// check is the status of a health check, and why.
func check(t *testing.T, s *sluice, name string) (status, why string) {
	t.Helper()
	statuses, _ := s.status(t)["statuses"].(map[string]any)
	of, _ := statuses[name].(map[string]any)
	status, _ = of["status"].(string)
	why, _ = of["error"].(string)
	return status, why
}

// TestSessionsAreKept: keys and list are made, reloaded, named where they are wrong, and shared with a generation that drains.
func TestSessionsAreKept(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	state := t.TempDir() + "/state"
	h := serveHouse(t, up, setup{extra: quick + "\nsessions: {lifetime: 1h}", poll: "1s, state_dir: " + state})
	h.await(t, "serving", msg("serving"))
	keys, list := state+"/session.keys", state+"/revocations.jsonl"
	if info, err := os.Stat(keys); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("keys: %v %v", info, err)
	}
	first, _ := ofSessions(t, h.sluice)
	if status, why := check(t, h.sluice, "session.keys"); status != "RUNNING" || len(first) != 16 {
		t.Errorf("session.keys is %s: %s; ring %q", status, why, first)
	}
	// A second key comes; a file that is wrong takes nothing away.
	line, code := h.cli(t, "session", "keygen")
	if code != 0 {
		t.Fatal(line)
	}
	was := read(t, keys)
	write(t, keys, was+line)
	if out, code := h.cli(t, "reload", "--config", h.file("sluice.yaml")); code != 0 {
		t.Fatal(out)
	}
	second, _ := ofSessions(t, h.sluice)
	if second == first || len(second) != 16 {
		t.Errorf("ring %q, was %q", second, first)
	}
	write(t, keys, was+"nonsense\n")
	if out, code := h.cli(t, "reload", "--config", h.file("sluice.yaml")); code == 0 || !strings.Contains(out, "a line is a name and a key") {
		t.Errorf("exit %d: %s", code, out)
	}
	if out, code := h.cli(t, "validate", "--config", h.file("sluice.yaml")); code == 0 || !strings.Contains(out, "sessions.key_file") {
		t.Errorf("validate: exit %d: %s", code, out)
	}
	status, why := check(t, h.sluice, "session.keys")
	if still, _ := ofSessions(t, h.sluice); status != "DEGRADED" || still != second {
		t.Errorf("session.keys is %s: %s; ring %q, was %q", status, why, still, second)
	}
	write(t, keys, was+line)
	// A generation that drains hears what the next one is told.
	w, err := connect(h.raw, patience)
	if err != nil {
		t.Fatal(err)
	}
	if out, code := h.upgrade(t); code != 0 {
		t.Fatal(out)
	}
	if _, entries := ofSessions(t, h.sluice, "--generation", "1"); entries != 0 {
		t.Errorf("%v entries at first", entries)
	}
	if out, code := h.cli(t, "session", "revoke", "--config", h.file("sluice.yaml"), "--issuer", "https://id.test", "--user", "ann"); code != 0 || out != "revoked; 1 revocations are in force\n" {
		t.Errorf("exit %d: %s", code, out)
	}
	if text := read(t, list); strings.Count(text, "\n") != 1 || !strings.Contains(text, `{"kind":"sub","issuer":"https://id.test","value":"ann","before":`) {
		t.Errorf("the list: %s", text)
	}
	eventually(t, "the generation that drains knows of it", func() bool {
		_, entries := ofSessions(t, h.sluice, "--generation", "1")
		return entries == 1
	})
	w.Close()
	// A line that is damaged is named, until all sessions are ended.
	text := read(t, list)
	if err := os.WriteFile(list, []byte("nonsense\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the damage is named", func() bool {
		status, why := check(t, h.sluice, "revocation.sync")
		return status == "DEGRADED" && strings.Contains(why, "revocations.jsonl:1: not a revocation")
	})
	if out, code := h.cli(t, "session", "revoke", "--config", h.file("sluice.yaml"), "--all"); code != 0 {
		t.Errorf("exit %d: %s", code, out)
	}
	eventually(t, "the damage is over", func() bool { status, _ := check(t, h.sluice, "revocation.sync"); return status == "RUNNING" })
	h.stop(t)
}
