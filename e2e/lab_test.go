package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The rolling-restart lab, by its own binary.

// buildLab builds sluice-lab beside a copy of nothing: it is told which sluice to take.
func buildLab(t *testing.T) string {
	t.Helper()
	if testing.Short() || os.Getenv("E2E_DRIVER") != "" {
		t.Skip("a run takes seconds, and one driver is enough for it")
	}
	t.Parallel()
	to := filepath.Join(t.TempDir(), "sluice-lab")
	cmd := exec.Command("go", "build", "-o", to, "./cmd/sluice-lab")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return to
}

// labRun is what the tests read of a run.
type labRun struct {
	Plan  string `json:"plan"`
	Total struct {
		Sent, Lost, Refused int
	} `json:"total"`
	Excused  int `json:"excused"`
	Restarts []struct {
		Proven bool `json:"proven"`
	} `json:"restarts"`
	Generator struct {
		Valid bool `json:"valid"`
	} `json:"generator"`
}

// labRoll runs a small lab to its end; the machine may be busy, and that is no matter here.
func labRoll(t *testing.T, lab string, args ...string) (runs []labRun, code int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "out.json")
	cmd := exec.Command(lab, append([]string{"roll", "--sluice", built.sluice, "--json", file, "--rate", "150", "--lame-duck", "600ms", "--drain", "6s",
		"--warm", "500ms", "--cool", "500ms", "--max-lag", "20s"}, args...)...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	t.Logf("%s", out)
	var f struct {
		Schema string   `json:"schema"`
		Runs   []labRun `json:"runs"`
	}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil || f.Schema != "sluice-lab/1" {
		t.Fatalf("schema %q, %v", f.Schema, err)
	}
	obeys(t, "../docs/lab.schema.json", file)
	return f.Runs, cmd.ProcessState.ExitCode()
}

// TestLab: nothing is lost and nobody refused, but by a kill, and then no more than was in flight.
func TestLab(t *testing.T) {
	lab := buildLab(t)
	runs, code := labRoll(t, lab, "--plan", "surge,kill-9")
	if code != 0 || len(runs) != 2 {
		t.Fatalf("exit %d, runs %+v", code, runs)
	}
	for _, r := range runs {
		if r.Total.Sent < 100 || len(r.Restarts) != 2 || !r.Restarts[0].Proven || !r.Restarts[1].Proven {
			t.Errorf("%+v", r)
		}
		if r.Total.Lost != r.Excused || r.Plan == "surge" && r.Total.Lost+r.Total.Refused > 0 {
			t.Errorf("plan %s: %d lost, %d excused, %d refused", r.Plan, r.Total.Lost, r.Excused, r.Total.Refused)
		}
	}
}

// TestLabStalled: a lab that is stopped for a while says that its run is worth nothing.
func TestLabStalled(t *testing.T) {
	lab := buildLab(t)
	p := launch(t, nil, lab, "roll", "--sluice", built.sluice, "--plan", "scale-out", "--rate", "100", "--warm", "2s", "--max-lag", "1s", "--class", "short,per-request")
	eventually(t, "the load has begun", func() bool {
		return strings.Contains(p.tail(0), "b.1 is in") && strings.Contains(p.tail(0), "a.1 is in")
	})
	time.Sleep(500 * time.Millisecond) // of load
	p.signal(t, syscall.SIGSTOP)
	time.Sleep(1500 * time.Millisecond) // the stall
	p.signal(t, syscall.SIGCONT)
	if code := p.exit(t, 3*patience); code != 4 {
		t.Errorf("exit %d, want 4: %s", code, p.tail(0))
	}
}

// TestLabUsage is exit 2 with the reason.
func TestLabUsage(t *testing.T) {
	lab := buildLab(t)
	for _, args := range [][]string{{"roll", "--plan", "nonsense"}, {"roll", "--proxy", "nonsense"}, {"roll", "--class", "nonsense"}, {"roll", "--balancer", "nonsense"}, {"roll", "--nonsense"}} {
		out, err := exec.Command(lab, args...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "nonsense") {
			t.Errorf("%v: %v: %s", args, err, out)
		}
	}
}

// TestLabBehindNginx: a real balancer with its own retries loses nothing either.
func TestLabBehindNginx(t *testing.T) {
	lab := buildLab(t)
	tool(t, "nginx")
	runs, code := labRoll(t, lab, "--plan", "surge", "--front", "nginx")
	if code != 0 || len(runs) != 1 || runs[0].Total.Sent < 100 || runs[0].Total.Lost+runs[0].Total.Refused > 0 {
		t.Errorf("exit %d, %+v", code, runs)
	}
}

// TestLabCompare: a file is no worse than itself, and the other way round it shows.
func TestLabCompare(t *testing.T) {
	lab, dir := buildLab(t), t.TempDir()
	file := func(name string, lost int) string {
		path := filepath.Join(dir, name)
		write(t, path, fmt.Sprintf(`{"schema": "sluice-lab/1", "runs": [{"proxy": "sluice", "plan": "surge", "total": {"lost": %d}, "restarts": [{}], "generator": {"valid": true}}]}`, lost))
		return path
	}
	good, bad := file("good", 0), file("bad", 3)
	write(t, filepath.Join(dir, "other"), `{"schema": "other"}`)
	for _, c := range []struct {
		a, b string
		want int
	}{{good, good, 0}, {good, bad, 1}, {bad, good, 0}, {good, filepath.Join(dir, "other"), 2}, {good, filepath.Join(dir, "none"), 2}} {
		cmd := exec.Command(lab, "compare", c.a, c.b)
		if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != c.want {
			t.Errorf("%s %s: exit %d, want %d: %s", c.a, c.b, cmd.ProcessState.ExitCode(), c.want, out)
		}
	}
}
