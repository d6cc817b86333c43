package peers

import (
	"fmt"
	"syscall"

	"github.com/sluiceproxy/sluice/bench/lab/replica"
)

// caddy: TERM is graceful; shutdown_delay keeps serving while {http.shutting_down} is true,
// by which the readiness turns, and grace_period bounds the rest (caddyserver.com/docs/json/apps/http,
// and shutdown_delay in /docs/caddyfile/options). stream_close_delay keeps upgraded connections
// over a reload; it is set for what it may do at a stop. There is no upgrade in place, and no
// raw TCP without a plugin.
var caddy = kind{
	version: []string{"version"}, file: "caddy.json", config: caddyConfig,
	args:   func(_ replica.Spec, file string) []string { return []string{"run", "--config", file} },
	delays: true, stop: syscall.SIGTERM, ready: "/ready",
}

func caddyConfig(s replica.Spec) string {
	return fmt.Sprintf(`{"admin": {"disabled": true, "config": {"persist": false}},
"logging": {"logs": {"default": {"level": "ERROR"}}},
"apps": {"http": {"grace_period": %q, "shutdown_delay": %q, "servers": {
"web": {"listen": [%q], "automatic_https": {"disable": true}, "protocols": ["h1"], "idle_timeout": "620s",
  "routes": [{"handle": [{"handler": "reverse_proxy", "stream_close_delay": %q, "flush_interval": -1,
    "transport": {"protocol": "http", "keep_alive": {"enabled": true, "max_idle_conns": 1024, "max_idle_conns_per_host": 512}},
    "upstreams": [{"dial": %q}]}]}]},
"probe": {"listen": [%q], "automatic_https": {"disable": true}, "protocols": ["h1"],
  "routes": [
    {"match": [{"vars": {"{http.shutting_down}": ["true"]}}], "handle": [{"handler": "static_response", "status_code": 503}]},
    {"handle": [{"handler": "static_response", "status_code": 200, "body": "ok"}]}]}
}}}}
`, s.Drain, s.LameDuck, s.Web, s.Drain, s.UpstreamWeb, s.Probe)
}
