package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

// called runs a command, and returns its exit code and what it printed.
func called(t *testing.T, stdin string, args ...string) (int, string) {
	t.Helper()
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetIn(strings.NewReader(stdin))
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return exitOK, out.String()
	}
	out.WriteString(err.Error())
	if e, ok := err.(*exitError); ok {
		return e.code, out.String()
	}
	return exitUsage, out.String()
}

func TestConfigFmt(t *testing.T) {
	const untidy, tidy = "a:\n    b:   1\n", "a:\n  b: 1\n"
	dir := t.TempDir()
	bad, good, broken := filepath.Join(dir, "bad.yaml"), filepath.Join(dir, "good.yaml"), filepath.Join(dir, "broken.yaml")
	for name, text := range map[string]string{bad: untidy, good: tidy, broken: "a: [\n"} {
		if err := os.WriteFile(name, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "link.yaml")
	if err := os.Symlink("bad.yaml", link); err != nil {
		t.Fatal(err)
	}
	check := func(code int, want string, stdin string, args ...string) {
		t.Helper()
		got, out := called(t, stdin, append([]string{"config", "fmt"}, args...)...)
		if got != code || !strings.Contains(out, want) {
			t.Errorf("%v: exit %d, want %d with %q:\n%s", args, got, code, want, out)
		}
	}
	check(exitOK, tidy, untidy)
	check(exitOK, tidy, untidy, "-")
	check(exitOK, tidy, "", bad)
	check(exitUsage, "--write or --check", "", bad, good)
	check(exitFailed, bad+"\n", "", "--check", good, bad)
	check(exitOK, "", "", "--check", good)
	check(exitUsage, "broken.yaml:1", "", "--write", bad, broken)
	check(exitUsage, "none.yaml", "", filepath.Join(dir, "none.yaml"))
	check(exitUsage, "check write", "", "--check", "--write", good)
	if text, _ := os.ReadFile(bad); string(text) != untidy {
		t.Errorf("one of two could not be laid out, and the other was written: %q", text)
	}
	check(exitOK, link+"\n", "", "--write", good, link)
	text, err := os.ReadFile(bad)
	if err != nil || string(text) != tidy {
		t.Errorf("%q, %v", text, err)
	}
	fi, err := os.Lstat(link)
	if err != nil || fi.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link became a file: %v, %v", fi, err)
	}
	if fi, err = os.Stat(bad); err != nil || fi.Mode().Perm() != 0o640 {
		t.Errorf("the mode is %v, %v", fi, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestConfigSchemaAndEnv(t *testing.T) {
	if code, out := called(t, "", "config", "schema"); code != exitOK || !strings.Contains(out, `"draft/2020-12`) && !strings.Contains(out, "draft/2020-12/schema") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	t.Setenv("SLUICE_DRAIN_FLUSH", "3s")
	code, out := called(t, "", "config", "env", "--set")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); code != exitOK || len(lines) != 2 || strings.Join(strings.Fields(lines[1]), " ") != "SLUICE_DRAIN_FLUSH drain.flush 3s this variable" {
		t.Errorf("exit %d:\n%s", code, out)
	}
	t.Setenv("SLUICE_DRAIN_FLUSH", "3")
	if code, out := called(t, "", "config", "env"); code != exitUsage || !strings.Contains(out, "[needs-unit]") {
		t.Errorf("exit %d:\n%s", code, out)
	}
}

// A configuration sets the same values when it was laid out: here, all there are, from a file that is laid
// out nowhere.
func TestConfigFmtKeepsTheConfiguration(t *testing.T) {
	text, err := os.ReadFile("../../config/testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	untidy := strings.NewReplacer(": ", ":    ", "\n  ", "\n    ", "- ", "-   ", ", ", " ,   ").Replace(string(text))
	code, tidy := called(t, untidy, "config", "fmt")
	if code != exitOK || tidy == untidy {
		t.Fatalf("exit %d:\n%s", code, tidy)
	}
	values := func(text string) (all []string) {
		c, err := config.Load(config.Source{Name: "f.yaml", Text: []byte(text)})
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		for _, s := range c.Settings() {
			all = append(all, s.Path+"="+s.Value)
		}
		return all
	}
	if before, after := values(untidy), values(tidy); !slices.Equal(before, after) || !slices.Equal(before, values(string(text))) {
		t.Errorf("before:\n%v\nafter:\n%v", before, after)
	}
}
