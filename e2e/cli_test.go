package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The commands: what they print, and their exit codes.

// TestCommandsWithoutAProxy is a table of what can be asked when nothing runs.
func TestCommandsWithoutAProxy(t *testing.T) {
	t.Parallel()
	dir := prepare(t, setup{policy: policyFor("127.0.0.1:9", "127.0.0.1:9", "v1")})
	file := filepath.Join(dir, "sluice.yaml")
	broken := filepath.Join(dir, "broken.yaml")
	compose := filepath.Join(dir, "compose.yaml")
	write(t, compose, "services:\n  sluice:\n    image: sluice:1\n    healthcheck: {test: curl localhost}\n    restart: always\n")
	write(t, broken, "version: 1\nlistenrs: []\ndrain: {timeout: soon}\n")
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string // parts of the output
	}{
		{"version", []string{"version"}, 0, []string{"sluice"}},
		{"version as JSON", []string{"version", "--json"}, 0, []string{`"version"`}},
		{"validate", []string{"validate", "-c", file}, 0, nil},
		{"validate what is broken", []string{"validate", "-c", broken}, 2, []string{"broken.yaml:2:1", "listeners", "broken.yaml:3:"}},
		{"validate as JSON", []string{"validate", "--json", "-c", broken}, 2, []string{`"line":`}},
		{"validate what is absent", []string{"validate", "-c", filepath.Join(dir, "none.yaml")}, 2, []string{"none.yaml"}},
		{"config show", []string{"config", "show", "-c", file}, 0, []string{"lame_duck", "200ms"}},
		{"config show with origins", []string{"config", "show", "--effective", "--origin", "-c", file}, 0, []string{"default", "sluice.yaml:"}},
		{"config show, drawn", []string{"config", "show", "--timeline", "-c", file}, 0, []string{"platform.stop_timeout 30s", "drain.timeout", "|=", "closing listeners", "to spare"}},
		{"config show, drawn as JSON", []string{"config", "show", "--timeline", "--json", "-c", file}, 0, []string{`"spans"`, `"lame_duck.max"`}},
		{"a hook that leaves no time", []string{"run", "-c", file, "--platform-stop-timeout", "20s", "--platform-pre-stop", "10s"}, 2, []string{"platform.pre_stop 10s", "platform.stop_timeout is 20s", "lower drain.timeout"}},
		{"config show as JSON", []string{"config", "show", "--json", "-c", file}, 0, []string{"lame_duck"}},
		{"policy check", []string{"policy", "check", filepath.Join(dir, "policy")}, 0, nil},
		{"doctor finds nothing in what is shipped", []string{"doctor", "--strict", "../deploy"}, 0, []string{"0 errors, 0 warnings, 0 notes", "Deployment sluice", "SIGKILL"}},
		{"doctor finds a fault", []string{"doctor", compose}, 1, []string{"compose.yaml:4 error [probe-shell]", "exec form", "error [stop-limit]"}},
		{"doctor as JSON", []string{"doctor", "--json", compose}, 1, []string{`"rule": "stop-limit"`, `"severity": "error"`, `"stops": [`}},
		{"doctor's patch", []string{"doctor", "--patch", compose}, 1, []string{"--- " + compose, "+    stop_grace_period: 30s"}},
		{"doctor's patch of what is beneath", []string{"doctor", "--patch", filepath.Join("..", "e2e", "testdata", "doctor")}, 1, []string{"--- testdata/doctor/a unit.service\t\n"}},
		{"doctor's rules", []string{"doctor", "--rules"}, 0, []string{"lame-duck "}},
		{"doctor of nothing", []string{"doctor"}, 2, []string{"files or directories"}},
		{"doctor of what is absent", []string{"doctor", filepath.Join(dir, "none.yaml")}, 2, []string{"none.yaml"}},
		{"doctor behind what it does not know", []string{"doctor", "--balancer", "abl", compose}, 2, []string{"nlb"}},
		{"health", []string{"health", "--probes-address", "127.0.0.1:1", "--timeout", "1s"}, 1, nil},
		{"status", []string{"status", "-c", file}, 1, nil},
		{"drain", []string{"drain", "-c", file}, 1, nil},
		{"reload", []string{"reload", "-c", file}, 1, nil},
		{"no command of ours", []string{"rum"}, 2, []string{"rum"}},
		{"no command of a group", []string{"policy", "chekc"}, 2, []string{"chekc"}},
		{"no flag of ours", []string{"run", "--lisen", ":1"}, 2, []string{"lisen"}},
		{"run without anything", []string{"run"}, 2, nil},
		{"run open to everybody, unsaid", []string{"run", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:9"}, 2, []string{"--public"}},
		{"help", []string{"--help"}, 0, []string{"sluice run", "sluice demo"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, code := command(t, c.args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, out)
			}
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("the output has no %q:\n%s", want, out)
				}
			}
			if code != 0 && strings.TrimSpace(out) == "" {
				t.Error("it failed without a word")
			}
			if strings.Contains(strings.Join(c.args, " "), "--json") && !json.Valid([]byte(out)) {
				t.Errorf("not JSON: %s", out)
			}
		})
	}
}

// TestCommandsWithAProxy asks a running one, from its start to its end.
func TestCommandsWithAProxy(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := run(t, setup{lameDuck: "{min: 8s, max: 8s}"})
	health := func(code int, args ...string) string {
		t.Helper()
		out, got := s.cli(t, append([]string{"health", "--probes-address", s.probes}, args...)...)
		if got != code {
			t.Errorf("health %v: exit %d, want %d: %s", args, got, code, out)
		}
		return out
	}
	if out := health(1); !strings.Contains(out, "policy.sync.initial") {
		t.Errorf("health does not name what is not ready: %s", out)
	}
	health(0, "--live")
	health(1, "--startup")
	write(t, s.file("policy/main.yaml"), policyFor(up.web, up.raw, "v1"))
	health(0, "--wait", "15s")
	health(0, "--startup")
	if out := health(0, "--json"); !json.Valid([]byte(out)) {
		t.Errorf("health --json: %s", out)
	}
	if status := s.status(t); status["ready"] != true || status["pid"] != float64(s.cmd.Process.Pid) {
		t.Errorf("status: ready %v, pid %v; want true, %d", status["ready"], status["pid"], s.cmd.Process.Pid)
	}

	ask := func(args ...string) {
		t.Helper()
		if out, code := s.cli(t, append(args, "-c", s.file("sluice.yaml"))...); code != 0 {
			t.Errorf("%v: exit %d: %s", args, code, out)
		}
	}
	ask("drain")
	health(1)
	ask("drain", "--undo")
	health(0)
	if out, _ := s.cli(t, "drain", "--undo", "-c", s.file("sluice.yaml")); strings.Contains(out, "undone") {
		t.Errorf("nothing was to be undone, and it says %q", out)
	}
	s.stillServes(t)
	ask("drain")
	ask("drain", "--ack")
	if code := s.exit(t, 7*time.Second); code != 0 {
		t.Errorf("exit code %d after a drain by command, want 0", code)
	}
}

// TestParkedDrain stays in Drained until a signal comes.
func TestParkedDrain(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{})
	if out, code := s.cli(t, "drain", "--park", "-c", s.file("sluice.yaml")); code != 0 {
		t.Fatalf("drain --park: exit %d: %s", code, out)
	}
	eventually(t, "it is drained", func() bool {
		v, _ := s.metric(t, `sluice_lifecycle_state{state="drained"}`)
		return v == 1
	})
	if out, code := s.cli(t, "drain", "--undo", "-c", s.file("sluice.yaml")); code != 1 {
		t.Errorf("undo of a finished drain: exit %d, want 1: %s", code, out)
	}
	if code, _ := s.probe(t, "/readyz"); code != 503 {
		t.Errorf("/readyz says %d, want 503", code)
	}
	if code, _ := s.probe(t, "/livez"); code != 200 {
		t.Errorf("/livez says %d, want 200", code)
	}
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// TestDemo plays the whole of it. It needs the port of its probes.
func TestDemo(t *testing.T) {
	t.Parallel()
	out, code := command(t, "demo", "--once", "--listen", "127.0.0.1:0")
	if strings.Contains(out, "address already in use") {
		t.Skip("somebody has the port of the demo's probes")
	}
	if code != 0 {
		t.Fatalf("exit code %d, want 0: %s", code, out)
	}
	for _, want := range []string{"200  GET /", "401  GET /private", "200  GET /private", "403  GET /secret", "drained clean"} {
		if !strings.Contains(out, want) {
			t.Errorf("the demo does not say %q:\n%s", want, out)
		}
	}
}

// TestQuickStart runs without a file.
func TestQuickStart(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	p := launch(t, []string{"SLUICE_ADMIN_ADDRESS=unix:" + filepath.Join(t.TempDir(), "admin.sock"), "SLUICE_PROBES_ADDRESS=127.0.0.1:0",
		"SLUICE_LAME_DUCK_MIN=10ms", "SLUICE_LAME_DUCK_MAX=10ms", "SLUICE_LAME_DUCK_NOTICE_AFTER=5ms"},
		built.sluice, "run", "--listen", "127.0.0.1:0", "--to", up.web, "--public")
	web := p.await(t, "listening", func(r record) bool { return r.str("msg") == "listening" && r.str("listener") != "" }).str("address")
	p.await(t, "serving", msg("serving"))
	if a, err := once(web, get("/")); err != nil || a.status != 200 {
		t.Errorf("GET: %d %v, want 200", a.status, err)
	}
	p.signal(t, syscall.SIGTERM)
	if code := p.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// TestLastReceiptAtTheNextStart: what the last stop did is in the metrics of the next start.
func TestLastReceiptAtTheNextStart(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{})
	s.signal(t, syscall.SIGTERM)
	s.exit(t, patience)
	again := launch(t, nil, built.sluice, "run", "--config", s.file("sluice.yaml"), "--receipt", s.file("receipt.json"))
	s.probes = again.listening(t, "component", "probes")
	again.await(t, "serving", msg("serving"))
	if at, ok := s.metric(t, "sluice_last_drain_timestamp_seconds"); !ok || time.Since(time.Unix(int64(at), 0)) > time.Minute {
		t.Errorf("sluice_last_drain_timestamp_seconds is %v, want just now", at)
	}
	for series, want := range map[string]float64{
		`sluice_last_drain_connections_closed{outcome="cut"}`: 0, "sluice_last_drain_accept_queue_residue": 0,
		"sluice_last_drain_unsent_bytes": 0, `sluice_last_drain_kernel_events{event="syncookies_sent"}`: 0,
	} {
		if got, ok := s.metric(t, series); !ok || got != want {
			t.Errorf("%s is %v (there: %t), want %v", series, got, ok, want)
		}
	}
	if got, ok := s.metric(t, `sluice_last_drain_phase_duration_seconds{phase="lame_duck"}`); !ok || got < 0.19 {
		t.Errorf("the lame duck of the last stop took %v (there: %t), want 0.2 and more", got, ok)
	}
	fi, err := os.Stat(s.file("receipt.json"))
	if err != nil {
		t.Fatal(err)
	}
	if mode := fi.Mode().Perm(); mode&0o002 != 0 {
		t.Errorf("the receipt is %s, writable for everybody", fmt.Sprint(mode))
	}
}

// TestAStartThatFails says so in one line that names the listener, with exit code 1; what
// a stop could not write is known at the start, with exit code 2.
func TestAStartThatFails(t *testing.T) {
	t.Parallel()
	var busy [2]string
	for i := range busy {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		busy[i] = ln.Addr().String()
	}
	dir := prepare(t, setup{web: busy[0], raw: busy[1]})
	out, code := command(t, "run", "--config", filepath.Join(dir, "sluice.yaml"))
	if code != 1 || !strings.Contains(out, "listener web: ") || !strings.Contains(out, "listener raw: ") || strings.Contains(out, `\n`) {
		t.Errorf("exit code %d, want 1 and both listeners in one line: %s", code, out)
	}
	dir = prepare(t, setup{})
	nowhere := filepath.Join(dir, "none", "receipt.json")
	out, code = command(t, "run", "--config", filepath.Join(dir, "sluice.yaml"), "--receipt", nowhere)
	if code != 2 || !strings.Contains(out, "drain.receipt") {
		t.Errorf("a receipt that cannot be written: exit code %d, want 2: %s", code, out)
	}
}
