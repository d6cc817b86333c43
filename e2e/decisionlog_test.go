package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDecisionLog: each decision has its line, across a rotation of the file, and none is missing after a stop.
func TestDecisionLog(t *testing.T) {
	t.Parallel()
	up, file := newUpstream(t), filepath.Join(t.TempDir(), "decisions")
	policy := fmt.Sprintf(`clusters: {app: {endpoints: [%q]}}
routes:
- {name: app, path: {prefix: /app}, cluster: app, authenticate: [api_key], decision_log: block, policy: [{allow: {or: [{authenticated_user: true}]}}]}
- {name: quiet, path: {prefix: /quiet}, cluster: app, decision_log: "off", policy: [{allow: {or: [{accept: true}]}}]}
`, up.web)
	s := serve(t, up, setup{policy: policy, env: []string{"SLUICE_LOG_DECISIONS=" + file}})
	want := map[string]string{}
	ask := func(request, path, decision string, status int) {
		r := <-begin(t, s.web, request)
		if r.err != nil || r.answer.status != status {
			t.Errorf("%s: %v %d, want %d", path, r.err, r.answer.status, status)
		}
		want[r.answer.head.Get("X-Request-ID")+" "+path] = decision
	}
	const each = 20
	for i := range each {
		ask(get(fmt.Sprintf("/app/no%d", i)), fmt.Sprintf("/app/no%d", i), "challenge", 401)
		ask(bearing("/app/bad", "none"), "/app/bad", "challenge", 401)
	}
	eventually(t, "the decisions so far are in the file", func() bool {
		text, err := os.ReadFile(file)
		return err == nil && strings.Count(string(text), "\n") == 2*each
	})
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	if out, code := s.cli(t, "reload", "--config", s.file("sluice.yaml")); code != 0 {
		t.Fatalf("reload: %d %s", code, out)
	}
	for i := range each {
		path := fmt.Sprintf("/app/yes%d", i)
		if r := <-begin(t, s.web, bearing(path, goodKey)); r.err != nil || r.answer.status != 200 {
			t.Errorf("%s: %v %d", path, r.err, r.answer.status)
		}
		want[up.log(path)[0].head.Get("X-Request-Id")+" "+path] = "allow"
	}
	<-begin(t, s.web, get("/quiet/a"))
	s.signal(t, syscall.SIGTERM)
	s.exit(t, patience)
	got := map[string]string{}
	var lines []string
	for _, name := range []string{file + ".1", file} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		part := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		if len(part) < each {
			t.Errorf("%s has %d lines", filepath.Base(name), len(part))
		}
		lines = append(lines, part...)
	}
	for _, line := range lines {
		var d struct {
			Decision, Path, Route, User, Policy string
			RequestID                           string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got[d.RequestID+" "+d.Path] = d.Decision
		if d.Route != "app" || d.Policy == "" || (d.User != "") != (d.Decision == "allow") {
			t.Errorf("got %s", line)
		}
	}
	if len(lines) != len(want) {
		t.Errorf("%d lines for %d decisions", len(lines), len(want))
	}
	for k, decision := range want {
		if got[k] != decision {
			t.Errorf("%s: %q, want %q", k, got[k], decision)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestDecisionLogOnAFullDisk: a request whose decision cannot be recorded is refused where its route says so, and only there.
func TestDecisionLogOnAFullDisk(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	policy := fmt.Sprintf(`clusters: {app: {endpoints: [%q]}}
routes:
- {name: audit, path: {prefix: /audit}, cluster: app, decision_log: block, policy: [{allow: {or: [{accept: true}]}}]}
- {name: app, cluster: app, policy: [{allow: {or: [{accept: true}]}}]}
`, up.web)
	s := serve(t, up, setup{policy: policy, env: []string{"SLUICE_LOG_DECISIONS=/dev/full", "SLUICE_TIMEOUTS_STAGE=200ms"}})
	full := false
	long := strings.Repeat("x", 8000)
	for i := 0; i < 400 && !full; i++ { // until the room for lines is used up
		r := <-begin(t, s.web, get("/audit/"+long))
		if r.err != nil {
			t.Fatal(r.err)
		}
		full = r.answer.status == 503 && r.answer.head.Get("X-Sluice-Reason") == "decision_log_full"
	}
	if !full {
		t.Fatal("requests go on although none of their decisions can be written")
	}
	if r := <-begin(t, s.web, get("/app/"+long)); r.err != nil || r.answer.status != 200 {
		t.Errorf("another route: %v %d", r.err, r.answer.status)
	}
	if got, _ := s.metric(t, `sluice_log_lines_lost_total{log="decisions",reason="no_room"}`); got < 1 {
		t.Errorf("%v lines are counted as lost", got)
	}
}
