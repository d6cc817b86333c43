package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// binaries are the programs under test, built once by TestMain.
type binaries struct {
	sluice string
	cheat  string
}

// built is written by TestMain before any test runs, and only read after.
var built binaries

// TestMain lets E2E_DRIVER choose what carries the connections; without it, the product does.
func TestMain(m *testing.M) {
	if c := os.Getenv("E2E_CONFINE"); c != "" {
		confine(confinement(c), os.Args[1:]) // does not return
	}
	if os.Getenv("E2E_LOSSLESS") != "" {
		debug.SetGCPercent(400) // of the clients of a long campaign: the machine is for the proxy
	}
	if d := os.Getenv("E2E_DRIVER"); d != "" {
		_ = os.Setenv("SLUICE_ENGINE_DRIVER", d)
	}
	if given := os.Getenv("E2E_BUILT"); given != "" { // a piece of a test that runs elsewhere
		built.sluice, built.cheat, _ = strings.Cut(given, ":")
		goleak.VerifyTestMain(m)
		return
	}
	dir, err := os.MkdirTemp("", "sluice-e2e-")
	if err == nil {
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func build(dir string) error {
	built = binaries{sluice: filepath.Join(dir, "sluice"), cheat: filepath.Join(dir, "cheat")}
	args := []string{"build", "-o", built.sluice}
	if os.Getenv("E2E_RACE") != "" {
		args = append(args, "-race")
	}
	for _, b := range []struct {
		dir  string
		args []string
	}{
		{"..", append(args, "./cmd/sluice")},
		{".", []string{"build", "-o", built.cheat, "./cheat"}},
	} {
		cmd := exec.Command("go", b.args...)
		cmd.Dir = b.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %v: %w\n%s", b.args, err, out)
		}
	}
	return nil
}

// heavy reports whether the long form of the suite was asked for.
func heavy() bool { return os.Getenv("E2E_HEAVY") != "" }

// stops is how often each stop under load is repeated.
func stops(t *testing.T) int {
	t.Helper()
	if testing.Short() {
		return 1
	}
	n, err := strconv.Atoi(os.Getenv("E2E_STOPS"))
	switch {
	case err == nil && n > 0:
		return n
	case heavy():
		return 100
	}
	return 10
}
