package peers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/replica"
)

// haproxy: USR1 is the soft stop. grace keeps the listeners open for a while in which
// "stopping" is true, and monitor fail turns readiness by that; hard-stop-after bounds the rest,
// and close-spread-time spreads the closing of idle connections (configuration manual, 3.1).
// An upgrade in place is a reload of a master-worker by USR2, which passes the sockets
// (management guide, 3 and 4); grace must not be set then, says the manual.
var haproxy = kind{
	version: []string{"-v"}, raw: true, file: "haproxy.cfg", config: haproxyConfig,
	args: func(s replica.Spec, file string) []string {
		if s.Upgrades {
			return []string{"-W", "-db", "-f", file}
		}
		return []string{"-db", "-f", file}
	},
	delays: true, stop: syscall.SIGUSR1, ready: "/ready", upgrade: haproxyUpgrade, pid: haproxyWorker,
}

func haproxyConfig(s replica.Spec) string {
	var b strings.Builder
	ms := func(d time.Duration) int64 { return d.Milliseconds() }
	fmt.Fprintf(&b, "global\n  maxconn 8000\n  nbthread 2\n  close-spread-time %dms\n", ms(s.Drain/2))
	if s.Upgrades {
		fmt.Fprintf(&b, "  hard-stop-after %dms\n", ms(s.Drain))
	} else {
		fmt.Fprintf(&b, "  grace %dms\n  hard-stop-after %dms\n", ms(s.LameDuck), ms(s.LameDuck+s.Drain))
	}
	fmt.Fprintf(&b, `defaults
  timeout connect 5s
  timeout client 620s
  timeout server 620s
  timeout tunnel 620s
  timeout http-keep-alive 620s
  backlog 4096
frontend web
  mode http
  bind %s
  default_backend origin
backend origin
  mode http
  http-reuse safe
  server s %s
frontend probe
  mode http
  bind %s
  monitor-uri /ready
  monitor fail if { stopping }
`, s.Web, s.UpstreamWeb, s.Probe)
	if s.Raw != "" {
		fmt.Fprintf(&b, "listen raw\n  mode tcp\n  bind %s\n  server s %s\n", s.Raw, s.UpstreamRaw)
	}
	return b.String()
}

// haproxyWorker is the youngest worker of the master.
func haproxyWorker(in *instance) (int, error) {
	all := children(in.p.PID())
	if len(all) == 0 {
		return 0, fmt.Errorf("haproxy: the master has no worker")
	}
	return all[len(all)-1], nil
}

// haproxyUpgrade is USR2 to the master; it is over when the old worker is gone.
func haproxyUpgrade(ctx context.Context, in *instance) error {
	old := children(in.p.PID())
	if err := in.p.Signal(syscall.SIGUSR2); err != nil {
		return err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		now := children(in.p.PID())
		left := slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(old, pid) })
		if len(now) > 0 && !left {
			return nil
		}
		select {
		case <-tick.C:
		case <-in.p.Exited():
			return fmt.Errorf("haproxy: the master ended: %s", in.Tail())
		case <-ctx.Done():
			return fmt.Errorf("haproxy: the old worker is still there: %w", ctx.Err())
		}
	}
}
