package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSmallBuild: the build without CEL and etcd is what `make run` makes. It serves, and says of an expression where it is and what
// to do, instead of letting it pass.
func TestSmallBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds another binary")
	}
	dir := t.TempDir()
	small := filepath.Join(dir, "sluice-small")
	build := exec.Command("go", "build", "-tags", "nocel,noetcd", "-o", small, "./cmd/sluice")
	build.Dir = ".."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	const rules = "clusters: {app: {endpoints: [127.0.0.1:1]}}\nroutes:\n- {name: app, cluster: app, policy: [{allow: {and: [%]}}]}\n"
	for criterion, want := range map[string]string{
		"{accept: true}":             "fine: ",
		`{cel: "method == \"GET\""}`: "policy.yaml:3:59 error [bad-value] cel, line 1, character 1: this build leaves CEL out (tag nocel)",
	} {
		file := filepath.Join(dir, "policy.yaml")
		write(t, file, strings.Replace(rules, "%", criterion, 1))
		out, err := exec.Command(small, "policy", "check", file).CombinedOutput()
		if (err == nil) != strings.HasPrefix(want, "fine") || !strings.Contains(string(out), want) {
			t.Errorf("policy with %s: %v, %s; want %q", criterion, err, out, want)
		}
	}
	file := filepath.Join(dir, "sluice.yaml")
	write(t, file, "version: 1\nlisteners: [{name: web, address: \"127.0.0.1:0\"}]\npolicy: {source: etcd}\netcd: {endpoints: [\"127.0.0.1:1\"]}\n")
	out, err := exec.Command(small, "validate", "-c", file).CombinedOutput()
	if want := "this build leaves etcd out (tag noetcd)"; err == nil || !strings.Contains(string(out), want) {
		t.Errorf("a configuration with etcd: %v, %s; want %q", err, out, want)
	}
	if out, err := exec.Command("go", "version", "-m", small).CombinedOutput(); err != nil || strings.Contains(string(out), "cel.dev/cel-go") || strings.Contains(string(out), "go.etcd.io") {
		t.Errorf("the small binary has CEL or etcd in it: %v\n%s", err, out)
	}
}
