package e2e

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// etcdProcess is the store in memory of internal/etcd/etcdtest, as a process of its own.
type etcdProcess struct {
	endpoint string
	in       io.WriteCloser
	out      *bufio.Scanner
}

// newEtcd builds and starts one; it ends with the test.
func newEtcd(t *testing.T) *etcdProcess {
	t.Helper()
	program := filepath.Join(t.TempDir(), "etcdtest")
	build := exec.Command("go", "test", "-c", "-o", program, "./internal/etcd/etcdtest")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the store: %v\n%s", err, out)
	}
	cmd := exec.Command(program, "-test.run", "^TestServe$")
	cmd.Env = append(os.Environ(), "ETCDTEST_SERVE=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // it ends then
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	})
	e := &etcdProcess{in: in, out: bufio.NewScanner(out)}
	endpoints, found := strings.CutPrefix(e.line(t), "endpoints ")
	if !found {
		t.Fatalf("the store says %q", endpoints)
	}
	e.endpoint = endpoints
	return e
}

func (e *etcdProcess) line(t *testing.T) string {
	t.Helper()
	if !e.out.Scan() {
		t.Fatalf("the store says nothing: %v", e.out.Err())
	}
	return e.out.Text()
}

// turn turns a switch: "down" or "up".
func (e *etcdProcess) turn(t *testing.T, what string) {
	t.Helper()
	if _, err := io.WriteString(e.in, what+"\n"); err != nil {
		t.Fatal(err)
	}
	if said := e.line(t); said != "ok" {
		t.Fatalf("the store says %q", said)
	}
}
