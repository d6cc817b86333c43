package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// What commands print with --json obeys its published schema, and has no field that the schema
// does not know.

// form is a published schema.
func form(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join("../docs/schemas", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// conforms checks one output, which may be several objects.
func conforms(t *testing.T, name, out string) {
	t.Helper()
	s, n := form(t, name), 0
	for dec := json.NewDecoder(strings.NewReader(out)); dec.More(); n++ {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			t.Fatalf("%s: not JSON: %v\n%s", name, err, out)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(value); err != nil {
			t.Errorf("%s: %v\n%s", name, err, raw)
		}
		for _, key := range unknownTo(s, value) {
			t.Errorf("the schema %s does not know %q", name, key)
		}
	}
	if n == 0 {
		t.Errorf("%s: nothing was printed", name)
	}
}

// unknownTo lists the fields of objects and of the objects of a list that a schema does not have.
func unknownTo(s *jsonschema.Schema, value any) (keys []string) {
	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			if s.Properties[key] == nil {
				keys = append(keys, key)
			}
		}
	case []any:
		items, _ := s.Items.(*jsonschema.Schema) // as draft 7 has it
		for items != nil && items.Ref != nil {
			items = items.Ref
		}
		for _, one := range v {
			if items != nil {
				keys = append(keys, unknownTo(items, one)...)
			}
		}
	}
	return keys
}

// printed is what a command prints on standard output, and its exit code.
func printed(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(built.sluice, args...)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// TestJSONOfCommandsWithoutAProxy asks what needs none.
func TestJSONOfCommandsWithoutAProxy(t *testing.T) {
	t.Parallel()
	dir := prepare(t, setup{policy: policyFor("127.0.0.1:9", "127.0.0.1:9", "v1")})
	file, broken, policy := filepath.Join(dir, "sluice.yaml"), filepath.Join(dir, "broken.yaml"), filepath.Join(dir, "policy")
	cases := filepath.Join(dir, "cases.yaml")
	write(t, cases, "cases: [{name: a, request: {host: app.example.com, path: /secret}, identity: {user: u}, expect: allow}]\n")
	write(t, broken, "version: 1\nlistenrs: []\ndrain: {timeout: soon}\n")
	for _, c := range []struct {
		schema string
		code   int
		args   []string
	}{
		{"version", 0, []string{"version"}},
		{"settings", 0, []string{"config", "show", "--effective", "-c", file}},
		{"timeline", 0, []string{"config", "show", "--timeline", "-c", file}},
		{"environment", 0, []string{"config", "env", "-c", file}},
		{"environment", 0, []string{"config", "env"}},
		{"faults", 0, []string{"validate", "-c", file}},
		{"faults", 2, []string{"validate", "-c", broken}},
		{"faults", 2, []string{"validate", "-c", filepath.Join(dir, "none.yaml")}},
		{"policy-keygen", 0, []string{"policy", "keygen", filepath.Join(dir, "publisher.key")}},
		{"policy-publish", 0, []string{"policy", "publish", policy, "--to", "dir:" + filepath.Join(dir, "store"), "--expires", "1h"}},
		{"policy-publish", 0, []string{"policy", "rollback", "1", "--store", "dir:" + filepath.Join(dir, "store"), "--expires", "1h"}},
		{"policy-history", 0, []string{"policy", "history", "--store", "dir:" + filepath.Join(dir, "store")}},
		{"policy-verify", 0, []string{"policy", "verify", "--store", "dir:" + filepath.Join(dir, "store")}},
		{"policy-verify", 1, []string{"policy", "verify", "--store", "dir:" + filepath.Join(dir, "store"), "--keys", filepath.Join(dir, "publisher.key.pub")}},
		{"faults", 0, []string{"policy", "check", policy}},
		{"faults", 2, []string{"policy", "check", broken}},
		{"policy-test", 1, []string{"policy", "test", "--policy", policy, cases}},
		{"policy-explain", 1, []string{"policy", "explain", "--policy", policy, "--host", "app.example.com", "--path", "/secret", "--user", "u"}},
		{"policy-diff", 0, []string{"policy", "diff", policy, policy, cases}},
		{"doctor", 1, []string{"doctor", "testdata/doctor"}},
		{"doctor", 0, []string{"doctor", "../deploy"}},
		{"rules", 0, []string{"doctor", "--rules"}},
		{"explain", 0, []string{"explain", "unreadable"}},
		{"words", 0, []string{"explain", "--list"}},
		{"session-keygen", 0, []string{"session", "keygen"}},
		{"health", 1, []string{"health", "--probes-address", "127.0.0.1:1", "--timeout", "1s"}},
	} {
		t.Run(strings.Join(c.args[:min(2, len(c.args))], " "), func(t *testing.T) {
			out, code := printed(t, append(c.args, "--json")...)
			if code != c.code {
				t.Errorf("exit %d, want %d: %s", code, c.code, out)
			}
			conforms(t, c.schema, out)
		})
	}
}

// keyOfSessions makes a file of keys.
func keyOfSessions(t *testing.T, dir string) string {
	t.Helper()
	line, code := printed(t, "session", "keygen")
	if code != 0 {
		t.Fatal(line)
	}
	file := filepath.Join(dir, "session.keys")
	write(t, file, line)
	return file
}

// TestJSONOfCommandsWithAProxy asks a running one, until its end.
func TestJSONOfCommandsWithAProxy(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	state := t.TempDir()
	s := serve(t, up, setup{lameDuck: "{min: 8s, max: 8s}", extra: fmt.Sprintf("sessions: {key_file: %q, revocations: {file: %q}}", keyOfSessions(t, state), filepath.Join(state, "list"))})
	ask := func(schema string, code int, args ...string) {
		t.Helper()
		out, got := printed(t, append(args, "--json")...)
		if got != code {
			t.Errorf("%v: exit %d, want %d: %s", args, got, code, out)
		}
		conforms(t, schema, out)
	}
	file := s.file("sluice.yaml")
	slow := begin(t, s.web, get("/slow?d=2s"))
	eventually(t, "it is upstream", func() bool { return len(up.log("/slow")) == 1 })
	ask("status", 0, "status", "-c", file)
	ask("generations", 0, "status", "--generations", "-c", file)
	ask("health", 0, "health", "--probes-address", s.probes)
	ask("reload", 0, "reload", "-c", file)
	ask("session-revoke", 0, "session", "revoke", "--session", "x", "-c", file)
	denied := <-begin(t, s.web, get("/private"))
	ask("why", 0, "why", denied.answer.head.Get("X-Request-Id"), "-c", file)
	ask("forecast", 0, "drain", "--dry-run", "-c", file)
	ask("watch", 0, "drain", "--watch", "--once", "-c", file)
	ask("progress", 0, "drain", "-c", file)
	ask("health", 1, "health", "--probes-address", s.probes)
	ask("watch", 0, "drain", "--watch", "--once", "-c", file)
	ask("progress", 0, "drain", "--ack", "-c", file)
	<-slow
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// Every schema is asked for.
func TestEverySchemaIsUsed(t *testing.T) {
	t.Parallel()
	text := ""
	for _, name := range []string{"schemas_test.go", "schemas_linux_test.go", "fleet_test.go", "fleetroll_test.go", "policystore_test.go"} {
		text += read(t, name)
	}
	files, err := filepath.Glob("../docs/schemas/*.json")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d schemas, %v", len(files), err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".json")
		if !strings.Contains(text, `{"`+name+`", `) && !strings.Contains(text, `ask("`+name+`", `) && !strings.Contains(text, `conforms(t, "`+name+`", `) {
			t.Errorf("nothing that is printed is compared with %s", f)
		}
	}
}
