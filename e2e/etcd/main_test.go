package etcd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// built are the programs under test.
var built struct{ sluice, member string }

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice-etcd-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	built.sluice, built.member = filepath.Join(dir, "sluice"), filepath.Join(dir, "member")
	for _, b := range []struct{ dir, out, pkg string }{{"../..", built.sluice, "./cmd/sluice"}, {".", built.member, "./member"}} {
		cmd := exec.Command("go", "build", "-o", b.out, b.pkg)
		cmd.Dir = b.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", b.pkg, err, out)
			return 1
		}
	}
	return m.Run()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
