package e2e

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// The access log: what is in a record, what is left out of it, and whose there is none of.

const trace = "4bf92f3577b34da6a3ce929d0e0e4736"

// exchanges are the access records so far.
func (p *process) exchanges() (list []record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.records {
		if r["msg"] == "exchange" {
			list = append(list, r)
		}
	}
	return list
}

// TestAccessRecord: every field of one, and that a trace goes on to the upstream as it came.
func TestAccessRecord(t *testing.T) {
	t.Parallel()
	s := serve(t, newUpstream(t), setup{access: true})
	parent := "00-" + trace + "-00f067aa0ba902b7-01"
	w, err := connect(s.web, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	a, err := w.ask(get("/private/echo-fields", "X-Api-Key: "+goodKey, "Traceparent: "+parent, "Tracestate: a=1"))
	if err != nil || a.status != 200 {
		t.Fatalf("status %d, %v", a.status, err)
	}
	if _, err := w.ask(get("/secret")); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	s.signal(t, syscall.SIGTERM)
	s.exit(t, patience)
	list := s.exchanges()
	if len(list) != 2 {
		t.Fatalf("%d records: %v", len(list), list)
	}
	good, refused := list[0], list[1]
	for name, want := range map[string]any{"trace_id": trace, "listener": "web", "protocol": "http/1.1", "method": "GET", "host": "app.example.com",
		"path": "/private/echo-fields", "route": "private", "user": "ada", "status": 200.0, "reason": nil, "sample": nil, "err": nil} {
		if good[name] != want {
			t.Errorf("%s is %v, want %v", name, good[name], want)
		}
	}
	for _, name := range []string{"time", "request_id", "peer", "bytes_in", "bytes_out", "dur_ms"} {
		if good[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	for name, want := range map[string]any{"trace_id": nil, "status": 401.0, "route": "secret", "user": nil} {
		if refused[name] != want {
			t.Errorf("refused: %s is %v, want %v", name, refused[name], want)
		}
	}
	if refused["reason"] == nil {
		t.Error("a refusal without a reason")
	}
}

// TestAccessTemplate: a line as the operator wants it, with nobody's name in it.
func TestAccessTemplate(t *testing.T) {
	t.Parallel()
	s := serve(t, newUpstream(t), setup{access: true, extra: `log: {access_redact: [peer, user, path], access_template: '{peer} {user} {{x} "{method} {path}" {status} {trace_id}'}`})
	w, err := connect(s.web, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if a, err := w.ask(get("/private/x%22y", "X-Api-Key: "+goodKey)); err != nil || a.status != 200 {
		t.Fatalf("status %d, %v", a.status, err)
	}
	s.signal(t, syscall.SIGTERM)
	s.exit(t, patience)
	if want := "127.0.0.0/24 - {x} \"GET -\" 200 -\n"; !strings.Contains(s.text.String(), want) {
		t.Errorf("wrote %q, want %q in it", s.text.String(), want)
	}
}

// TestAccessSample: of what went well one in five or so, of what did not all, and the same ones in
// another process, since the request ID decides.
func TestAccessSample(t *testing.T) {
	t.Parallel()
	const n, sample = 400, 5
	var kept [2]string
	for i := range kept {
		s := serve(t, newUpstream(t), setup{access: true, extra: fmt.Sprintf("trusted_proxies: [127.0.0.0/8]\nlog: {access_sample: %d}", sample)})
		w, err := connect(s.web, patience)
		if err != nil {
			t.Fatal(err)
		}
		for k := range n {
			path, want := "/each", 200
			if k%10 == 0 {
				path, want = "/private", 401
			}
			if a, err := w.ask(get(path, fmt.Sprintf("X-Request-ID: request-%d", k))); err != nil || a.status != want {
				t.Fatalf("%s: %d, %v", path, a.status, err)
			}
		}
		_ = w.Close()
		s.signal(t, syscall.SIGTERM)
		s.exit(t, patience)
		refused, good := 0, 0
		for _, r := range s.exchanges() {
			switch {
			case r["status"] == 401.0 && r["sample"] == nil:
				refused++
			case r["status"] == 200.0 && r["sample"] == float64(sample):
				good++
				kept[i] += fmt.Sprint(r["request_id"], " ")
			default:
				t.Errorf("record %v", r)
			}
		}
		if refused != n/10 || good < n/sample/3 || good > n/sample*3 {
			t.Errorf("%d of %d refusals and %d of %d others are recorded", refused, n/10, good, n-n/10)
		}
	}
	if kept[0] != kept[1] || !regexp.MustCompile(`^request-\d`).MatchString(kept[0]) {
		t.Errorf("two processes chose %q and %q", kept[0], kept[1])
	}
}

// TestAccessFieldsAreDocumented: the table names each field that a template may name, and no other.
func TestAccessFieldsAreDocumented(t *testing.T) {
	out, code := command(t, "validate", "-c", faulty(t, "log: {access_template: '{nobody}'}"))
	_, names, found := strings.Cut(out, "there are ")
	names, _, _ = strings.Cut(names, "\n")
	if code != 2 || !found {
		t.Fatalf("exit code %d: %s", code, out)
	}
	docs := read(t, "../docs/operations.md")
	_, table, _ := strings.Cut(docs, "## The access log")
	table, _, _ = strings.Cut(table, "\n`log.access_sample")
	var got []string
	for _, row := range regexp.MustCompile(`(?m)^\| (`+"`"+`[^|]*) \|`).FindAllStringSubmatch(table, -1) {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			got = append(got, name[1])
		}
	}
	if strings.Join(got, ", ") != names {
		t.Errorf("documented are %s; there are %s", strings.Join(got, ", "), names)
	}
}

// faulty is a configuration with a line that is wrong.
func faulty(t *testing.T, line string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	write(t, file, "version: 1\nlisteners: [{name: web, address: \":0\"}]\npolicy: {dir: /}\n"+line+"\n")
	return file
}
