package peers

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/replica"
)

// envoy: SIGTERM ends it at once, so the drain is a sequence from outside: /healthcheck/fail
// turns readiness, /drain_listeners?graceful closes the listeners and says goodbye, and when no
// connection is left, or the time is over, SIGTERM (envoyproxy.io/docs, "Draining" and
// "Administration interface"). Hot restart needs its Python wrapper and is not played.
var envoy = kind{
	version: []string{"--version"}, raw: true, file: "envoy.yaml", config: envoyConfig,
	args: func(s replica.Spec, file string) []string {
		return []string{"-c", file, "-l", "error", "--disable-hot-restart", "--drain-time-s", fmt.Sprint(max(1, int(s.Drain/time.Second)/2))}
	},
	stop: syscall.SIGTERM, ready: "/ready",
	tell:   func(ctx context.Context, s replica.Spec) error { return envoyPost(ctx, s, "/healthcheck/fail") },
	finish: envoyFinish,
}

func envoyConfig(s replica.Spec) string {
	var b strings.Builder
	host := func(addr string) string {
		h, p, _ := strings.Cut(addr, ":")
		return fmt.Sprintf("{socket_address: {address: %s, port_value: %s}}", h, p)
	}
	cluster := func(name, addr string) string {
		return fmt.Sprintf("  - {name: %[1]s, connect_timeout: 5s, type: STATIC, load_assignment: {cluster_name: %[1]s, endpoints: [{lb_endpoints: [{endpoint: {address: %[2]s}}]}]}}\n",
			name, host(addr))
	}
	fmt.Fprintf(&b, `admin: {address: %s}
static_resources:
  listeners:
  - name: web
    address: %s
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          upgrade_configs: [{upgrade_type: websocket}]
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: "/"}, route: {cluster: app, timeout: 0s}}]}]}
          http_filters: [{name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
`, host(s.Probe), host(s.Web))
	if s.Raw != "" {
		fmt.Fprintf(&b, `  - name: raw
    address: %s
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: raw, cluster: echo}
`, host(s.Raw))
	}
	b.WriteString("  clusters:\n" + cluster("app", s.UpstreamWeb))
	if s.Raw != "" {
		b.WriteString(cluster("echo", s.UpstreamRaw))
	}
	return b.String()
}

// envoyFinish drains the listeners and waits for the connections.
func envoyFinish(ctx context.Context, in *instance) error {
	if err := envoyPost(ctx, in.spec, "/drain_listeners?graceful"); err != nil {
		return err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(in.spec.Drain); time.Now().Before(end) && !envoyIdle(ctx, in.spec); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return syscall.Kill(in.p.PID(), syscall.SIGTERM)
}

func envoyPost(ctx context.Context, s replica.Spec, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Probe+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("envoy: %w", err)
	}
	return resp.Body.Close()
}

// envoyIdle says that no client is connected.
func envoyIdle(ctx context.Context, s replica.Spec) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Probe+"/stats?filter=downstream_cx_active", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	for line := range strings.Lines(string(text)) {
		name, n, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if (strings.HasPrefix(name, "http.web.") || strings.HasPrefix(name, "tcp.raw.")) && n != "0" {
			return false
		}
	}
	return err == nil
}
