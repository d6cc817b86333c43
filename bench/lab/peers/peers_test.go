package peers

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/bench/lab/replica"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func spec(t *testing.T, upgrades bool) replica.Spec {
	return replica.Spec{Name: "a.1", Dir: t.TempDir(), Web: "127.0.0.1:18081", Raw: "127.0.0.1:18082", Probe: "127.0.0.1:18083",
		Settings: replica.Settings{UpstreamWeb: "127.0.0.1:18084", UpstreamRaw: "127.0.0.1:18085", LameDuck: 1500 * time.Millisecond, Drain: 10 * time.Second, Upgrades: upgrades}}
}

// TestConfigurations are what the programs themselves take, where they are installed, and in
// any case well formed and made of all that was asked for.
func TestConfigurations(t *testing.T) {
	check := map[string][]string{"nginx": {"-t", "-e", "stderr", "-c"}, "haproxy": {"-c", "-f"}, "caddy": {"validate", "--config"}}
	for _, name := range Names() {
		for _, upgrades := range []bool{false, true} {
			found, err := Find(name, Places{Self: os.Args[0], Dirs: []string{"../../../bin"}})
			if err != nil {
				t.Fatal(err)
			}
			l := found.(launcher)
			if l.config == nil {
				continue
			}
			s := spec(t, upgrades)
			if !l.raw {
				s.Raw = ""
			}
			text := l.config(s)
			whole := text
			for file, more := range l.extra {
				whole += more(s)
				wellFormed(t, file, more(s))
			}
			wellFormed(t, l.file, text)
			for _, want := range []string{s.Web, s.Probe, s.UpstreamWeb} {
				if _, port, _ := strings.Cut(want, ":"); !strings.Contains(whole, port) {
					t.Errorf("%s: no %s in\n%s", name, want, whole)
				}
			}
			program, err := l.program()
			if err != nil || check[name] == nil {
				continue
			}
			file := filepath.Join(s.Dir, l.file)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(program, append(check[name], file)...)
			cmd.Env = append(os.Environ(), "HOME="+s.Dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s does not take it: %v: %s\n%s", name, err, out, text)
			}
		}
	}
}

func wellFormed(t *testing.T, file, text string) {
	t.Helper()
	var v any
	var err error
	switch filepath.Ext(file) {
	case ".json":
		err = json.Unmarshal([]byte(text), &v)
	case ".yaml":
		err = yaml.Unmarshal([]byte(text), &v)
	}
	if err != nil {
		t.Errorf("%s: %v\n%s", file, err, text)
	}
}

func TestVersionOf(t *testing.T) {
	for out, want := range map[string]string{
		"nginx version: nginx/1.22.1\n":                        "1.22.1",
		"HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https:": "2.6.12-1+deb12u4",
		"v2.11.9 h1:abc=":                                      "2.11.9",
		"something":                                            "",
	} {
		if got := versionOf(out); got != want {
			t.Errorf("%q: %q, want %q", out, got, want)
		}
	}
	if _, err := Find("squid", Places{}); err == nil {
		t.Error("a proxy that nobody knows was found")
	}
}
