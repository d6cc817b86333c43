package peers

import (
	"fmt"
	"strings"
	"syscall"

	"github.com/sluiceproxy/sluice/bench/lab/replica"
)

// traefik: at SIGTERM the ping answers 503 and the entry points go on for
// requestAcceptGraceTimeout, then graceTimeOut bounds the rest (doc.traefik.io/traefik/routing/entrypoints,
// "lifeCycle"). There is no upgrade in place.
var traefik = kind{
	version: []string{"version"}, raw: true, file: "traefik.yaml", config: traefikConfig,
	args:   func(_ replica.Spec, file string) []string { return []string{"--configFile=" + file} },
	delays: true, stop: syscall.SIGTERM, ready: "/ping",
	extra: map[string]func(replica.Spec) string{"routes.yaml": traefikRoutes},
}

func traefikConfig(s replica.Spec) string {
	var b strings.Builder
	fmt.Fprintf(&b, "log: {level: ERROR}\nping: {entryPoint: probe}\nproviders: {file: {filename: %q}}\nentryPoints:\n", s.Dir+"/routes.yaml")
	point := func(name, addr string) {
		if addr != "" {
			fmt.Fprintf(&b, "  %s: {address: %q, transport: {lifeCycle: {requestAcceptGraceTimeout: %q, graceTimeOut: %q}, respondingTimeouts: {readTimeout: 0s, idleTimeout: 620s}}}\n",
				name, addr, s.LameDuck, s.Drain)
		}
	}
	point("web", s.Web)
	point("raw", s.Raw)
	point("probe", s.Probe)
	return b.String()
}

func traefikRoutes(s replica.Spec) string {
	text := fmt.Sprintf("http:\n  routers: {all: {entryPoints: [web], rule: \"PathPrefix(`/`)\", service: app}}\n  services: {app: {loadBalancer: {servers: [{url: \"http://%s\"}]}}}\n", s.UpstreamWeb)
	if s.Raw != "" {
		text += fmt.Sprintf("tcp:\n  routers: {all: {entryPoints: [raw], rule: \"HostSNI(`*`)\", service: echo}}\n  services: {echo: {loadBalancer: {servers: [{address: %q}]}}}\n", s.UpstreamRaw)
	}
	return text
}
