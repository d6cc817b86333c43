package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/internal/sim"
)

// ledger is a decision log with room, or without.
type ledger struct {
	lines []string
	full  bool
	lost  int
}

func (s *ledger) WriteLines(b []byte) {
	if !s.TryLines(b) {
		s.lost += strings.Count(string(b), "\n")
	}
}

func (s *ledger) TryLines(b []byte) bool {
	if s.full {
		return false
	}
	s.lines = append(s.lines, strings.SplitAfter(strings.TrimSuffix(string(b), "\n"), "\n")...)
	return true
}

// ledgerWalk has a route of each kind, by the word in its path.
func ledgerWalk(t *testing.T, cfg Config) (*walk, *ledger) {
	doc, err := policy.Parse("p.yaml", []byte(`
clusters: {app: {endpoints: ["up:1"]}}
routes:
- {name: kept, cluster: app, path: {prefix: /kept}, authenticate: [test], policy: [{deny: {or: [{http_path: {starts_with: /kept/no}}]}}, {allow: {or: [{accept: true}]}}]}
- {name: audit, cluster: app, path: {prefix: /audit}, decision_log: block, policy: [{deny: {or: [{http_path: {starts_with: /audit/no}}]}}, {allow: {or: [{accept: true}]}}]}
- {name: silent, cluster: app, path: {prefix: /silent}, decision_log: "off", policy: [{allow: {or: [{accept: true}]}}]}
tcp_routes:
- {listener: db, cluster: app, decision_log: block, policy: [{allow: {or: [{accept: true}]}}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	sink := &ledger{}
	cfg.DecisionLog = sink
	cfg.Authenticators = map[string]authz.Authenticator{"test": testKey{}}
	w := newWalk(t, cfg)
	w.upstream(func(s *sim.Sock, got []byte) {
		if bytes.HasSuffix(got, []byte("\r\n\r\n")) && !bytes.Contains(got, []byte("Content-Length")) || bytes.HasSuffix(got, []byte("abc")) {
			s.Write([]byte(ok))
		}
	})
	if err := w.core.Apply(context.Background(), "v7", doc); err != nil {
		t.Fatal(err)
	}
	if err := w.tracker.Open(); err != nil {
		t.Fatal(err)
	}
	return w, sink
}

// testKey knows ann by a field.
type testKey struct{}

func (testKey) Name() string            { return "test" }
func (testKey) ChallengeHeader() string { return "Test" }
func (testKey) Try(r *authz.Request) (*authz.Identity, authz.Verdict) {
	v, n := r.Fields.Field("x-test")
	switch {
	case n == 0:
		return nil, authz.Deny
	case string(v) == "ann":
		return &authz.Identity{Method: "test", User: "ann", Session: &authz.Session{ID: "s-1"}}, authz.Allow
	}
	return nil, authz.Challenge
}
func (k testKey) Resolve(r *authz.Request) (*authz.Identity, authz.Verdict) { return k.Try(r) }

func (w *walk) ask(path, fields, want string) *client {
	w.t.Helper()
	c := w.dial("web")
	c.Write([]byte("GET " + path + " HTTP/1.1\r\nHost: A.test:80\r\n" + fields + "\r\n"))
	w.until(path+": an answer", c.has("HTTP/1.1 "+want))
	return c
}

func TestDecisionsAreRecorded(t *testing.T) {
	w, s := ledgerWalk(t, Config{})
	w.ask("/kept/a?secret", "X-Test: ann\r\n", "200")
	w.ask("/kept/no", "", "403")
	w.ask("/kept/b", "X-Test: eve\r\n", "401")
	w.ask("/silent", "", "200")
	w.ask("/nowhere", "", "404")
	w.ask("/audit/%00", "", "400")
	w.ask("/audit/x%22y", "", "200")
	w.dial("db")
	w.until("the tunnel", func() bool { return len(s.lines) == 5 })
	for i, want := range []map[string]any{
		{"decision": "allow", "route": "kept", "rule": 1.0, "reason": "ok", "user": "ann", "auth_method": "test", "session": "s-1", "method": "GET", "host": "a.test", "path": "/kept/a", "listener": "web", "policy": "v7"},
		{"decision": "deny", "route": "kept", "rule": 0.0, "reason": "http-path-unauthorized", "user": nil, "path": "/kept/no"},
		{"decision": "challenge", "route": "kept", "rule": nil, "reason": "credential_invalid", "user": nil},
		{"decision": "allow", "route": "audit", "path": `/audit/x%22y`},
		{"decision": "allow", "route": "db", "listener": "db", "method": nil, "request_id": nil, "policy": "v7"},
	} {
		var got map[string]any
		if err := json.Unmarshal([]byte(s.lines[i]), &got); err != nil {
			t.Fatalf("%q: %v", s.lines[i], err)
		}
		for k, v := range want {
			if got[k] != v {
				t.Errorf("line %d: %s is %v, want %v: %s", i, k, got[k], v, s.lines[i])
			}
		}
		if a, err := netip.ParseAddr(fmt.Sprint(got["source"])); err != nil || got["msg"] != "decision" || strings.Contains(s.lines[i], "secret") || got["route"] != "db" && got["request_id"] == nil {
			t.Errorf("line %d: %s (%v, %v)", i, s.lines[i], a, err)
		}
		if _, err := time.Parse(time.RFC3339, fmt.Sprint(got["time"])); err != nil {
			t.Errorf("line %d: %v", i, err)
		}
	}
}

func TestDecisionsAreRedacted(t *testing.T) {
	w, s := ledgerWalk(t, Config{Access: Access{Redact: Redactable()}})
	w.ask("/kept/a", "X-Test: ann\r\n", "200")
	var got map[string]any
	if err := json.Unmarshal([]byte(s.lines[0]), &got); err != nil {
		t.Fatal(err)
	}
	if got["user"] != nil || got["host"] != nil || got["path"] != nil || !strings.Contains(fmt.Sprint(got["source"]), "/") || got["route"] != "kept" {
		t.Errorf("got %s", s.lines[0])
	}
}

// Where there is no room, most routes go on and count; one whose decisions have to be recorded waits for room.
func TestDecisionsThatFindNoRoom(t *testing.T) {
	w, s := ledgerWalk(t, Config{})
	s.full = true
	w.ask("/kept/a", "", "200")
	w.ask("/silent", "", "200")
	if s.lost != 1 {
		t.Errorf("%d lost", s.lost)
	}
	audit := w.dial("web")
	audit.Write([]byte("POST /audit/a HTTP/1.1\r\nHost: a\r\nX-Test: much\r\nContent-Length: 3\r\n\r\nabcGET /kept/behind HTTP/1.1\r\nHost: a\r\n\r\n"))
	no := w.dial("web")
	no.Write([]byte("GET /audit/no HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.pass(time.Second)
	if audit.got != "" || no.got != "" || strings.Contains(strings.Join(w.upReqs, ""), "/audit") {
		t.Fatalf("they did not wait: %q, %q, upstream %q", audit.got, no.got, w.upReqs)
	}
	if look := w.tracker.Snapshot(9); len(look) != 4 {
		t.Errorf("the account has %d connections", len(look))
	}
	s.full = false
	w.until("both go on", func() bool { return strings.Count(audit.got, "200 OK") == 2 })
	w.until("the refusal", no.has("HTTP/1.1 403 "))
	if s.lost != 1 || len(s.lines) != 3 || !strings.Contains(strings.Join(w.upReqs, ""), "POST /audit/a HTTP/1.1\r\nHost: a\r\nX-Test: much\r\n") || !strings.Contains(strings.Join(w.upReqs, ""), "abc") {
		t.Errorf("%d lost, lines %q, upstream %q", s.lost, s.lines, w.upReqs)
	}
	if l := w.core.loops[0]; l.decisions.parked != 0 {
		t.Errorf("%d are thought to wait", l.decisions.parked)
	}
}

// Whatever ends the wait is paid with the request, and with nothing else.
func TestDecisionsThatNeverFindRoom(t *testing.T) {
	w, s := ledgerWalk(t, Config{})
	s.full = true
	began := w.net.Now()
	c := w.ask("/audit/a", "", "503")
	if took := w.net.Now().Sub(began); took < 5*time.Second || took > 6*time.Second {
		t.Errorf("it waited %s", took)
	}
	if !strings.Contains(c.got, "X-Sluice-Reason: decision_log_full\r\n") || !strings.Contains(c.got, "Retry-After: 1\r\n") || len(w.upReqs) != 0 {
		t.Errorf("got %q, upstream %q", c.got, w.upReqs)
	}
	gone := w.dial("web")
	gone.Write([]byte("GET /audit/a HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.pass(time.Second)
	gone.Abort()
	tcp := w.dial("db")
	w.until("the connection is closed", func() bool { return tcp.eof || tcp.reset })
	tcp.Close()
	c.Close()
	w.nothingHeld()
	if l := w.core.loops[0]; l.decisions.parked != 0 {
		t.Errorf("%d are thought to wait", l.decisions.parked)
	}
	l := w.core.loops[0]
	l.decisions.parked = maxParked // each holds memory
	began = w.net.Now()
	w.ask("/audit/a", "", "503")
	if took := w.net.Now().Sub(began); took > time.Second {
		t.Errorf("with %d that wait, one more waited %s", maxParked, took)
	}
	l.decisions.parked = 0
}

// A route whose decisions must have a place is a mistake where there is none, and not one that is served without.
func TestBlockNeedsALog(t *testing.T) {
	for text, fault := range map[string]string{
		"routes: [{name: r, cluster: app, decision_log: block, policy: [{allow: {or: [{accept: true}]}}]}]":          `route "r": decision_log: block`,
		"tcp_routes: [{listener: db, cluster: app, decision_log: block, policy: [{allow: {or: [{accept: true}]}}]}]": `decision_log: block`,
		"routes: [{name: r, cluster: app, decision_log: drop, policy: [{allow: {or: [{accept: true}]}}]}]":           "",
	} {
		doc, err := policy.Parse("p.yaml", []byte("clusters: {app: {endpoints: [\"up:1\"]}}\n"+text+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if err := newWalk(t, Config{}).core.Apply(context.Background(), "1", doc); (err != nil) != (fault != "") || err != nil && !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: %v", text, err)
		}
		if err := newWalk(t, Config{DecisionLog: &ledger{}}).core.Apply(context.Background(), "1", doc); err != nil {
			t.Errorf("%s, with a log: %v", text, err)
		}
	}
}
