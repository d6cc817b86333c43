//go:build linux

package procfs

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseStat(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want Stat
		ok   bool
	}{
		"plain":               {"42 (nginx) S 1 40 40 0 -1 4194560 1 0 0 0 150 275 9 9 20 0 1 0 5 6 7", Stat{42, 40, 'S', 1500 * time.Millisecond, 2750 * time.Millisecond}, true},
		"a name with a paren": {"42 (a) R (b c) R 1 7 7 0 -1 0 0 0 0 0 3 4 0 0 20 0 1 0 5", Stat{42, 7, 'R', 30 * time.Millisecond, 40 * time.Millisecond}, true},
		"cut short":           {"42 (nginx) S 1 40 40", Stat{}, false},
		"no name":             {"42 nginx S 1 40 40 0 -1 4194560 1 0 0 0 150 275 9 9", Stat{}, false},
		"not a number":        {"42 (x) S 1 40 40 0 -1 4194560 1 0 0 0 a 275 9 9", Stat{}, false},
		"empty":               {"", Stat{}, false},
	} {
		got, err := ParseStat(c.line)
		if (err == nil) != c.ok || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v, ok %v", name, got, err, c.want, c.ok)
		}
	}
}

func TestParseRollup(t *testing.T) {
	m, err := ParseRollup("5630-7ffc ---p 0 00:00 0 [rollup]\nRss:    2048 kB\nPss:     512 kB\nPss_Dirty:  9 kB\n")
	if want := (Memory{2 << 20, 512 << 10}); err != nil || m != want {
		t.Errorf("%+v, %v; want %+v", m, err, want)
	}
	for _, bad := range []string{"", "Rss: 1 kB\n", "Rss: x kB\nPss: 1 kB\n"} {
		if m, err := ParseRollup(bad); err == nil {
			t.Errorf("%q gives %+v and no error", bad, m)
		}
	}
}

func TestParseSchedstat(t *testing.T) {
	if w, err := ParseSchedstat("100 2500 7\n"); err != nil || w != 2500 {
		t.Errorf("%v, %v; want 2500 ns", w, err)
	}
	if _, err := ParseSchedstat("100 2500\n"); err == nil {
		t.Error("two fields pass")
	}
}

func TestParseMachine(t *testing.T) {
	b, err := ParseMachine("cpu  1 2 4 800 900 8 16 5 3 3\ncpu0 1 2\n")
	if want := (Busy{31 * Tick, 5 * Tick}); err != nil || b != want {
		t.Errorf("%+v, %v; want %+v", b, err, want)
	}
	if _, err := ParseMachine("intr 5\n"); err == nil {
		t.Error("another line passes")
	}
}

func TestSinceRefusesAChangedGroup(t *testing.T) {
	a, b := Sample{1: {CPU: 5, User: 1, Sys: 2, Waited: 3}, 2: {CPU: 7}}, Sample{1: {CPU: 15, User: 2, Sys: 4, Waited: 6}, 2: {CPU: 7}}
	got, err := b.Since(a)
	if want := (Usage{10, 1, 2, 3}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if _, err := (Sample{1: {}, 3: {}}).Since(a); err == nil {
		t.Error("a process was replaced and nobody noticed")
	}
}

// A real group of two processes, one of which worked and one of whose children has ended.
func TestGroupOfRealProcesses(t *testing.T) {
	cmd := exec.Command("sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; sleep 60 & echo done; wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}()
	line := make([]byte, 5)
	if _, err := out.Read(line); err != nil || !strings.HasPrefix(string(line), "done") {
		t.Fatalf("%q, %v", line, err)
	}
	s, err := Group(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if u := s[cmd.Process.Pid]; len(s) != 2 || u.CPU <= time.Millisecond {
		t.Errorf("%d processes, shell %+v; want 2 and CPU time", len(s), u)
	}
	if m, err := GroupMemory(cmd.Process.Pid); err != nil || m.RSS < 100<<10 || m.PSS <= 0 || m.PSS > m.RSS {
		t.Errorf("memory %+v, %v", m, err)
	}
	if _, err := Group(1<<22 + os.Getpid()); err == nil {
		t.Error("a group that is not there has a sample")
	}
}
