package peers

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/replica"
)

// nginx: QUIT is the graceful stop, worker_shutdown_timeout bounds it, USR2 and QUIT upgrade in
// place (nginx.org/en/docs/control.html). It has no readiness and no delay: what a preStop
// hook does, a file and a pause before QUIT do here.
var nginx = kind{
	version: []string{"-v"}, file: "nginx.conf", config: nginxConfig,
	args: func(s replica.Spec, file string) []string {
		return []string{"-p", s.Dir, "-c", file, "-e", "error.log"}
	},
	stop:  syscall.SIGQUIT,
	tell:  func(_ context.Context, s replica.Spec) error { return os.WriteFile(s.Dir+"/leaving", nil, 0o600) },
	ready: "/ready", upgrade: nginxUpgrade, forks: true, pid: nginxPID,
}

func nginxConfig(s replica.Spec) string {
	var b strings.Builder
	daemon, user := "off", ""
	if s.Upgrades {
		daemon = "on" // USR2 is ignored by a master whose parent is alive
	}
	if os.Geteuid() == 0 {
		user = "user root;\n" // the workers must see the file that turns readiness
	}
	fmt.Fprintf(&b, "%sdaemon %s;\n", user, daemon)
	if s.Raw != "" {
		fmt.Fprintf(&b, "load_module %s;\n", nginxStreamModule())
	}
	fmt.Fprintf(&b, `worker_processes 2;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log error;
worker_shutdown_timeout %[2]ds;
events { worker_connections 16384; }
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  keepalive_timeout 620s; keepalive_requests 1000000; client_max_body_size 0;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream app { server %[3]s; keepalive 512; }
  server {
    listen %[4]s backlog=4096;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_request_buffering off;
    }
  }
  server {
    listen %[5]s;
    location / { if (-f %[1]s/leaving) { return 503; } return 200 ok; }
  }
}
`, s.Dir, int((s.Drain+time.Second-1)/time.Second), s.UpstreamWeb, s.Web, s.Probe)
	if s.Raw != "" {
		fmt.Fprintf(&b, "stream { server { listen %s backlog=4096; proxy_pass %s; } }\n", s.Raw, s.UpstreamRaw)
	}
	return b.String()
}

// nginxStreamModule is where Debian has it; empty: there is none, and so no raw TCP.
func nginxStreamModule() string {
	const debian = "/usr/lib/nginx/modules/ngx_stream_module.so"
	if _, err := os.Stat(debian); err == nil {
		return debian
	}
	return ""
}

func nginxPID(in *instance) (int, error) {
	text, err := os.ReadFile(in.file("nginx.pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// nginxUpgrade is USR2 to the old master, and QUIT to it once the new one is there.
func nginxUpgrade(ctx context.Context, in *instance) error {
	old, err := nginxPID(in)
	if err != nil {
		return err
	}
	if err := syscall.Kill(old, syscall.SIGUSR2); err != nil {
		return err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if pid, err := nginxPID(in); err == nil && pid != old && hasChildren(pid) {
			in.note(pid)
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("nginx: no new master: %w; %s", ctx.Err(), in.Tail())
		}
	}
	if err := syscall.Kill(old, syscall.SIGQUIT); err != nil {
		return err
	}
	return in.await(ctx, old)
}

// children of a process, from /proc.
func children(pid int) (all []int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", pid))
	if err != nil {
		return nil
	}
	for _, f := range strings.Fields(string(text)) {
		if n, err := strconv.Atoi(f); err == nil {
			all = append(all, n)
		}
	}
	return all
}

func hasChildren(pid int) bool { return len(children(pid)) > 0 }
