package peers

import (
	"syscall"

	"github.com/sluiceproxy/sluice/bench/lab/replica"
)

// goShutdown is a Go reverse proxy that does what is advised everywhere: readiness turns at
// SIGTERM, it goes on serving for a while, then http.Server.Shutdown with a deadline.
var goShutdown = kind{
	args: func(s replica.Spec, _ string) []string {
		return []string{GoShutdownCommand, "--listen", s.Web, "--to", s.UpstreamWeb, "--probes", s.Probe,
			"--delay", s.LameDuck.String(), "--grace", s.Drain.String()}
	},
	delays: true, stop: syscall.SIGTERM, ready: "/ready",
}
