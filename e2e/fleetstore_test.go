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

// etcdProcess is a store as a process of its own: the one in memory of internal/etcd/etcdtest, unless E2E_ETCD says otherwise.
type etcdProcess struct {
	endpoint string // or more, with commas between them
	in       io.WriteCloser
	out      *bufio.Scanner
}

// newEtcd builds and starts one; it ends with the test. E2E_ETCD=real asks for three real servers in its place.
func newEtcd(t *testing.T) *etcdProcess {
	t.Helper()
	build := func(dir string, args ...string) (program string) {
		t.Helper()
		program = filepath.Join(t.TempDir(), "program")
		cmd := exec.Command("go", append(append(args[:len(args)-1:len(args)-1], "-o", program), args[len(args)-1])...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build the store: %v\n%s", err, out)
		}
		return program
	}
	var cmd *exec.Cmd
	if os.Getenv("E2E_ETCD") == "real" {
		cmd = exec.Command(build("etcd", "build", "./trio"), build("etcd", "build", "./member"))
	} else {
		cmd = exec.Command(build("..", "test", "-c", "./internal/etcd/etcdtest"), "-test.run", "^TestServe$")
		cmd.Env = append(os.Environ(), "ETCDTEST_SERVE=1")
	}
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
