package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// confinement is a place that lets a process do less than this one may.
type confinement string

const (
	nonroot  confinement = "nonroot"          // user and group 65534, no capability
	readOnly confinement = "read-only root"   // no file system can be written to but /dev
	noFilter confinement = "filter refused"   // setsockopt(SO_ATTACH_FILTER) is EPERM
	noDiag   confinement = "no inet_diag"     // socket(AF_NETLINK, NETLINK_SOCK_DIAG) is EPERM
	noRCU    confinement = "no membarrier"    // membarrier is ENOSYS
	noProof  confinement = "nothing is known" // no filter, no inet_diag, no membarrier
)

// around makes a command run confined: this program does it to itself, and executes it.
func (c confinement) around(t *testing.T, dir string, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can take something away")
	}
	if c == nonroot {
		if out, err := exec.Command("chown", "-R", "65534:65534", dir).CombinedOutput(); err != nil {
			t.Fatalf("chown: %v: %s", err, out)
		}
		for _, up := range []string{dir, filepath.Dir(dir), filepath.Dir(built.sluice)} { // what was made for a test is its owner's
			if err := os.Chmod(up, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command("env", append([]string{"E2E_CONFINE=" + string(c), self}, cmd.Args...)...)
}

// confinedRun starts a proxy on files that are there.
func confinedRun(t *testing.T, dir string, c confinement, args ...string) *process {
	t.Helper()
	cmd := exec.Command(built.sluice, append([]string{"run", "--config", filepath.Join(dir, "sluice.yaml")}, args...)...)
	return launchLogged(t, c.around(t, dir, cmd), nil, false)
}
