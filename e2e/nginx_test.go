package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tool finds a program of the system, or skips the test where it is not installed.
// With E2E_TOOLS=required, as in CI, a missing one is a failure.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("E2E_TOOLS") == "required" {
		t.Fatalf("%s is not installed", name)
	} else if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

// nginx is a real origin with a configuration and a directory of its own.
type nginx struct {
	*process
	bin  string
	dir  string
	addr string
}

// nginxFile is what it serves at /file, in bytes.
const nginxFile = 8 << 20

// nginxMiB is a file of 1 MiB, behind the route that wants a key.
const nginxMiB = "/private/mib"

// newNginx starts one; it ends with the test.
func newNginx(t *testing.T) *nginx {
	t.Helper()
	n := &nginx{bin: tool(t, "nginx"), dir: t.TempDir(), addr: freeAddress(t)}
	write(t, filepath.Join(n.dir, "file"), strings.Repeat("0123456789abcdef", nginxFile/16))
	write(t, filepath.Join(n.dir, "mib"), strings.Repeat("0123456789abcdef", 1<<20/16))
	write(t, filepath.Join(n.dir, "nginx.conf"), fmt.Sprintf(`daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	keepalive_requests 100000000;
	client_max_body_size 64m;
	server {
		listen %[2]s;
		location / { return 200 "nginx\n"; }
		location /put { return 200 "$request_length\n"; }
		location /file { root %[1]s; }
		location /private/mib { alias %[1]s/mib; }
	}
}
`, n.dir, n.addr))
	n.start(t)
	return n
}

// start begins a fresh process at the same address, and waits until it answers.
func (n *nginx) start(t *testing.T) {
	t.Helper()
	n.process = launch(t, nil, n.bin, "-p", n.dir, "-c", filepath.Join(n.dir, "nginx.conf"), "-e", "stderr")
	eventually(t, "nginx answers", func() bool {
		c, err := net.DialTimeout("tcp", n.addr, patience)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// kill ends it without a goodbye.
func (n *nginx) kill(t *testing.T) {
	t.Helper()
	n.signal(t, syscall.SIGKILL)
	n.exit(t, patience)
}

// do runs a client program to its end and returns what it printed.
func do(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(tool(t, name), args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}
