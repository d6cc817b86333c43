package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestG8PreviousBuild goes up from another build to this one and down again, under load. It
// is built from the commit that E2E_PREVIOUS names (heavy runs: the newest before this one
// that knows hand-over).
func TestG8PreviousBuild(t *testing.T) {
	commit := os.Getenv("E2E_PREVIOUS")
	if commit == "" && !heavy() {
		t.Skip("no E2E_PREVIOUS, and no heavy run")
	}
	previous := buildPrevious(t, commit)
	up := newUpstream(t)
	h := serveHouse(t, up, setup{})
	install(t, previous, h.program)
	c := h.gather(t)
	for i, program := range []string{previous, built.sluice, previous, built.sluice} {
		install(t, program, h.program)
		if out, code := h.upgrade(t); code != 0 {
			t.Fatalf("upgrade %d, to %s: exit %d: %s", i+1, filepath.Base(program), code, out)
		}
		c.more(t, 200)
	}
	c.unharmed(t)
	h.stop(t)
}

// buildPrevious builds the program of a commit.
func buildPrevious(t *testing.T, commit string) string {
	t.Helper()
	if commit == "" {
		out, err := exec.Command("git", "log", "-n", "1", "--skip", "1", "--format=%H", "--", "../lifecycle/handover").Output()
		if commit = strings.TrimSpace(string(out)); err != nil || commit == "" {
			t.Skip("there is no earlier build that knows hand-over:", err)
		}
	}
	tree, program := filepath.Join(t.TempDir(), "tree"), filepath.Join(t.TempDir(), "previous")
	if out, err := exec.Command("git", "worktree", "add", "--detach", tree, commit).CombinedOutput(); err != nil {
		t.Skipf("no history here: %v\n%s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("git", "worktree", "remove", "--force", tree).Run() })
	build := exec.Command("go", "build", "-o", program, "./cmd/sluice")
	build.Dir = tree
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", commit, err, out)
	}
	return program
}
