package admin

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/sluiceproxy/sluice/authz/authn/oidc"
	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/internal/fleet"
	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/edgetls"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

var update = flag.Bool("update", false, "write docs/metrics.md anew")

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

const noonUnix = "1.8934992e+09"

// scrape returns the lines of /metrics that are samples of ours.
func scrape(t *testing.T, h http.Handler) (samples []string, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	b, _ := io.ReadAll(w.Result().Body)
	if w.Code != 200 {
		t.Fatalf("%d: %s", w.Code, b)
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "sluice_") || strings.HasPrefix(line, "http_") {
			samples = append(samples, strings.TrimSpace(line))
		}
	}
	return samples, string(b)
}

func wantSamples(t *testing.T, samples []string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !slices.Contains(samples, w) {
			name, _, _ := strings.Cut(w, " ")
			name, _, _ = strings.Cut(name, "{")
			var have []string
			for _, s := range samples {
				if strings.HasPrefix(s, name) {
					have = append(have, s)
				}
			}
			t.Errorf("no %s; there is\n\t%s", w, strings.Join(have, "\n\t"))
		}
	}
}

// busy is sources in the middle of a drain, with something of everything.
func busy() Sources {
	r := health.NewRegistry(health.Config{Now: func() time.Time { return noon }})
	r.Declare(health.PolicySyncInitial, health.Required)
	r.Set(health.StorageBackend, health.Degraded, errors.New("no leader"))
	r.SetProcess(health.ProcessDraining, "SIGTERM")
	last := drain.Receipt{
		Outcomes: drain.OutcomeCounts{IdleClosed: 3}, Told: 5, Unsent: 700, LossBound: 0.25, ActualLoss: 1,
		Listeners: []drain.ListenerProof{{Residue: 2}, {Residue: 4}}, Kernel: &drain.Witness{OutRsts: 9},
		Phases:   []drain.Phase{{Name: drain.PhaseDrain, Began: noon, Ended: noon.Add(2 * time.Second)}},
		Initial:  drain.ClassCounts{Active: 7},
		CutTotal: 1, StuckTotal: 1, Exchanges: drain.ExchangeCounts{Interrupted: 4},
	}
	return Sources{
		Build:       Build{Version: "1.2.3", Revision: "abc", GoVersion: "go1.26"},
		Generation:  3,
		Generations: func() []Generation { return []Generation{{Generation: 2, PID: 7, State: generationDraining}} },
		Health:      r.Snapshot,
		Transitions: func() []lifecycle.Transition {
			return []lifecycle.Transition{
				{At: noon, From: lifecycle.Starting, To: lifecycle.Serving},
				{At: noon.Add(1), From: lifecycle.Serving, To: lifecycle.LameDuck},
				{At: noon.Add(2), From: lifecycle.LameDuck, To: lifecycle.Draining},
			}
		},
		Tracker: func() drain.Stats {
			return drain.Stats{
				State: drain.Draining, Deadline: noon, Told: 5,
				Groups: []drain.Group{{Listener: "web", Protocol: "http", Connections: drain.ClassCounts{Active: 2, Tunnel: 1}}},
			}
		},
		Receipt: func() drain.Receipt {
			return drain.Receipt{
				Phases: []drain.Phase{
					{Name: drain.PhaseLameDuck, Began: noon, Ended: noon.Add(6 * time.Second)},
					{Name: drain.PhaseDrain, Began: noon.Add(6 * time.Second)},
				},
				Initial:   drain.ClassCounts{Active: 8, Idle: 3},
				Outcomes:  drain.OutcomeCounts{Completed: 6, Cut: 1},
				Exchanges: drain.ExchangeCounts{Interrupted: 1},
			}
		},
		Sessions: func() *Sessions {
			return &Sessions{Ring: "0123456789abcdef", Begun: 3, Renewed: 4, Revoked: 5, RevokedState: RevokedState{Entries: 6, Pending: 1, StaleSeconds: 0.5, Fleet: &SharedState{StaleSeconds: 2}},
				opened: map[string]uint64{"remembered": 7, "not_sealed": 2}}
		},
		Fleet: func() *fleet.Status {
			return &fleet.Status{ID: "a", Registered: true, Answered: noon, Failures: 2, LeasesLost: 1, Turns: fleet.TurnCount{Given: 1, StoreAway: 2, NotAwaited: 3}}
		},
		Certificates: func() map[string]edgetls.Stats {
			return map[string]edgetls.Stats{"web": {Reloads: 3, Failed: 1, Certificates: []edgetls.Certificate{
				{NotAfter: time.Unix(2000000000, 0)}, {NotAfter: time.Unix(1900000000, 0)}},
				Clients: []edgetls.Expiry{{What: edgetls.Authority, At: time.Unix(1950000000, 0)}, {What: edgetls.List, At: time.Unix(1800000000, 0)}, {What: edgetls.List, At: time.Unix(1700000000, 0)}}}}
		},
		Logins: func() []Logins {
			return []Logins{{Provider: "oidc", Failures: 2, Results: map[oidc.Result]int64{oidc.Done: 3}}, {Provider: "oidc/corp"}}
		},
		Proxy: func() proxy.Stats {
			request := proxy.RequestStats{Route: "app", Method: "GET", Status: 200, Seconds: 1.5}
			request.Buckets[0], request.Buckets[len(request.Buckets)-1] = 3, 1
			return proxy.Stats{
				StreamsBarred: map[string]uint64{"session_revoked": 1, "session_expired": 0, "policy_changed": 2, "stream_age": 0},
				Active:        2, UpstreamsOpen: 6, Slow: 12, BadRequests: 9, Panics: map[string]uint64{"walk": 4},
				HTTP2: proxy.HTTP2Stats{Errors: map[string]uint64{"flood": 5}, Refused: map[string]uint64{"pseudo": 6}, HeadSlow: 7, Unheard: 8},
				Listeners: []proxy.ListenerStats{{Name: "web", Accepted: 11, Failed: 8,
					Refused: map[string]uint64{"draining": 2, "policy_unsynced": 0}, Closed: map[string]uint64{"cut": 1},
					Handshakes: map[string]uint64{"done": 5, "failed": 2}}},
				Decisions: []proxy.DecisionStats{{Decision: "deny", Reason: "reject", Count: 3}},
				Requests:  []proxy.RequestStats{request, {Method: "_OTHER"}},
				Upstreams: []proxy.EndpointStats{
					{Cluster: "c", Endpoint: "192.0.2.1:80", Active: 1, Requests: 10, Connects: 2, ConnectErrs: 1, TLSErrs: 3, BadCerts: 1, State: upstream.Ejected, Failures: 6, Ejections: 1},
					{Cluster: "c", Endpoint: "192.0.2.2:80", Active: 1, Requests: 5, Connects: 1, Checks: 9, CheckErrs: 2},
				},
				Clusters:        []proxy.ClusterStats{{Cluster: "c", Connections: 4, Waiting: 3, PendingFull: 2, Retries: 7, RetriesRefused: 1}},
				PendingTimeouts: 8,
			}
		},
		Policy: func() Policy {
			return Policy{Version: "17", Hash: "abcd", Applied: noon, StaleSeconds: 2.5, Expires: noon, Rejections: map[string]uint64{"signature": 2}, Rejected: &Rejected{}}
		},
		Reloads:   func() Reloads { return Reloads{Succeeded: 2, Failed: 1, LastFailed: true, LastSuccess: noon} },
		Logs:      func() map[string]LogLoss { return map[string]LogLoss{"access": {Dropped: 13, Failed: 14}} },
		LastDrain: func() *drain.Receipt { return &last },
		Listeners: []proxy.ListenerConfig{{Name: "web"}, {Name: "db", Protocol: proxy.TCP}},
		Reasons:   []string{"ok", "reject", "no-policy"},
	}
}

func TestMetricsTellWhatTheSourcesSay(t *testing.T) {
	samples, body := scrape(t, NewMetrics(busy()))
	wantSamples(t, samples,
		`sluice_build_info{goversion="go1.26",revision="abc",version="1.2.3"} 1`,
		`sluice_lifecycle_state{state="draining"} 1`,
		`sluice_lifecycle_state{state="serving"} 0`,
		`sluice_lifecycle_transitions_total{from="lame_duck",to="draining"} 1`,
		`sluice_lifecycle_transitions_total{from="lame_duck",to="serving"} 0`,
		`sluice_ready 0`,
		`sluice_health_check_status{check="storage.backend",status="degraded"} 1`,
		`sluice_health_check_status{check="policy.sync.initial",status="running"} 0`,
		`sluice_health_check_since_timestamp_seconds{check="storage.backend"} `+noonUnix,
		`sluice_refused_total{listener="web",reason="draining"} 2`,
		`sluice_refused_total{listener="web",reason="policy_unsynced"} 0`,
		`sluice_connections_active{listener="web",protocol="http",state="active"} 2`,
		`sluice_connections_active{listener="db",protocol="tcp",state="tunnel"} 0`,
		`sluice_connections_accepted_total{listener="web"} 11`,
		`sluice_connections_closed_total{listener="web",reason="cut"} 1`,
		`sluice_connections_told_total 5`,
		`sluice_accept_failures_total{listener="web"} 8`,
		`sluice_log_lines_lost_total{log="access",reason="no_room"} 13`,
		`sluice_log_lines_lost_total{log="access",reason="write_failed"} 14`,
		`sluice_slow_clients_total 12`,
		`sluice_panics_total{where="walk"} 4`,
		`sluice_http2_connection_errors_total{reason="flood"} 5`,
		`sluice_http2_streams_refused_total{reason="pseudo"} 6`,
		`sluice_http2_slow_heads_total 7`,
		`sluice_http2_goodbyes_unanswered_total 8`,
		`http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="200",http_route="app",le="0.005"} 3`,
		`http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="200",http_route="app",le="10"} 3`,
		`http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="200",http_route="app",le="+Inf"} 4`,
		`http_server_request_duration_seconds_sum{http_request_method="GET",http_response_status_code="200",http_route="app"} 1.5`,
		`http_server_request_duration_seconds_count{http_request_method="_OTHER",http_response_status_code="_other",http_route="_none"} 0`,
		`http_server_active_requests 2`,
		`sluice_bad_requests_total 9`,
		`sluice_authz_decisions_total{decision="deny",reason="reject"} 3`,
		`sluice_authz_decisions_total{decision="deny",reason="no-policy"} 0`,
		`sluice_authz_decisions_total{decision="allow",reason="ok"} 0`,
		`sluice_upstream_active_requests{cluster="c"} 2`,
		`sluice_upstream_requests_total{cluster="c"} 15`,
		`sluice_upstream_connects_total{cluster="c"} 3`,
		`sluice_upstream_connect_errors_total{cluster="c"} 1`,
		`sluice_upstream_endpoints{cluster="c",state="ejected"} 1`,
		`sluice_upstream_endpoints{cluster="c",state="healthy"} 1`,
		`sluice_upstream_endpoints{cluster="c",state="unhealthy"} 0`,
		`sluice_upstream_failures_total{cluster="c"} 6`,
		`sluice_upstream_ejections_total{cluster="c"} 1`,
		`sluice_upstream_health_checks_total{cluster="c",result="ok"} 7`,
		`sluice_upstream_health_checks_total{cluster="c",result="failed"} 2`,
		`sluice_upstream_retries_total{cluster="c",result="sent"} 7`,
		`sluice_upstream_retries_total{cluster="c",result="refused"} 1`,
		`sluice_upstream_connections{cluster="c"} 4`,
		`sluice_upstream_pending_requests{cluster="c"} 3`,
		`sluice_upstream_pending_refused_total{reason="full"} 2`,
		`sluice_upstream_pending_refused_total{reason="timeout"} 8`,
		`sluice_logins_total{provider="oidc",result="done"} 3`, `sluice_logins_total{provider="oidc/corp",result="lost"} 0`,
		`sluice_idp_fetch_failures_total{provider="oidc"} 2`,
		`sluice_policy_synced 1`,
		`sluice_policy_version_info{hash="abcd",version="17"} 1`,
		`sluice_policy_last_sync_timestamp_seconds `+noonUnix,
		`sluice_policy_stale_seconds 2.5`,
		`sluice_policy_rejected_total{reason="signature"} 2`,
		`sluice_policy_rejected_total{reason="rollback"} 0`,
		`sluice_policy_expires_timestamp_seconds `+noonUnix,
		`sluice_policy_newest_rejected 1`,
		`sluice_drain_deadline_timestamp_seconds `+noonUnix,
		`sluice_drain_connections_initial{state="idle"} 3`,
		`sluice_drain_connections_remaining{listener="web",protocol="http",state="tunnel"} 1`,
		`sluice_drain_connections_remaining{listener="db",protocol="tcp",state="tunnel"} 0`,
		`sluice_drain_connections_closed_total{outcome="completed"} 6`,
		`sluice_drain_connections_closed_total{outcome="idle_closed"} 0`,
		`sluice_drain_requests_interrupted_total 1`,
		`sluice_drain_phase_duration_seconds_bucket{phase="lame_duck",le="5"} 0`,
		`sluice_drain_phase_duration_seconds_bucket{phase="lame_duck",le="10"} 1`,
		`sluice_drain_phase_duration_seconds_count{phase="drain"} 0`, // lasts
		`sluice_drain_duration_seconds_count{outcome="clean"} 0`,     // lasts
		`sluice_last_drain_duration_seconds 2`,
		`sluice_last_drain_timestamp_seconds 1.893499202e+09`,
		`sluice_last_drain_connections_initial 7`,
		`sluice_last_drain_connections_cut 2`,
		`sluice_last_drain_requests_interrupted 4`,
		`sluice_last_drain_connections_closed{outcome="idle_closed"} 3`,
		`sluice_last_drain_connections_closed{outcome="cut"} 0`,
		`sluice_last_drain_connections_told 5`,
		`sluice_last_drain_phase_duration_seconds{phase="drain"} 2`,
		`sluice_last_drain_unsent_bytes 700`,
		`sluice_last_drain_requests_expected_lost 0.25`,
		`sluice_last_drain_requests_lost_idle 1`,
		`sluice_last_drain_accept_queue_residue 6`,
		`sluice_last_drain_kernel_events{event="out_rsts"} 9`,
		`sluice_config_reloads_total{result="success"} 2`,
		`sluice_config_reloads_total{result="failure"} 1`,
		`sluice_config_last_reload_successful 0`,
		`sluice_config_last_reload_success_timestamp_seconds `+noonUnix,
	)
	for _, name := range []string{"go_goroutines", "process_start_time_seconds", "process_open_fds"} {
		if !strings.Contains(body, "\n"+name+" ") {
			t.Errorf("no %s", name)
		}
	}
	if strings.Contains(body, "192.0.2.") {
		t.Error("an address became a label")
	}
}

// A finished drain has a duration.
func TestDrainDuration(t *testing.T) {
	s := busy()
	receipt := drain.Receipt{Phases: []drain.Phase{{Name: drain.PhaseDrain, Began: noon, Ended: noon.Add(3 * time.Second)}}, CutTotal: 1}
	s.Tracker = func() drain.Stats { return drain.Stats{State: drain.Drained} }
	s.Receipt = func() drain.Receipt { return receipt }
	samples, _ := scrape(t, NewMetrics(s))
	wantSamples(t, samples,
		`sluice_drain_duration_seconds_sum{outcome="cut"} 3`,
		`sluice_drain_duration_seconds_count{outcome="cut"} 1`,
		`sluice_drain_duration_seconds_count{outcome="clean"} 0`,
		`sluice_drain_deadline_timestamp_seconds 0`,
	)
}

// Before draining began the receipt counts everything since the start, or since a lame
// duck that may be undone: neither is told.
func TestNoDrainNoNumbers(t *testing.T) {
	for _, state := range []drain.State{drain.Shut, drain.Open, drain.Leaving} {
		s := busy()
		stats := s.Tracker()
		stats.State, stats.Deadline = state, time.Time{}
		s.Tracker = func() drain.Stats { return stats }
		samples, _ := scrape(t, NewMetrics(s))
		wantSamples(t, samples,
			`sluice_drain_connections_remaining{listener="web",protocol="http",state="active"} 0`,
			`sluice_drain_connections_initial{state="active"} 0`,
			`sluice_drain_connections_closed_total{outcome="completed"} 0`,
			`sluice_drain_phase_duration_seconds_count{phase="lame_duck"} 0`,
			`sluice_connections_active{listener="web",protocol="http",state="active"} 2`,
		)
	}
}

// Without sources nothing happened, and nothing breaks.
func TestMetricsWithoutSources(t *testing.T) {
	samples, _ := scrape(t, NewMetrics(Sources{}))
	wantSamples(t, samples, `sluice_ready 0`, `sluice_policy_synced 0`, `sluice_lifecycle_state{state="starting"} 1`,
		`sluice_policy_last_sync_timestamp_seconds 0`, `sluice_config_last_reload_successful 1`)
}

func TestEndpointsComeAndGoAndSumsOnlyGrow(t *testing.T) {
	var now []proxy.EndpointStats
	h := NewMetrics(Sources{Proxy: func() proxy.Stats { return proxy.Stats{Upstreams: now} }})
	for i, step := range []struct {
		endpoints []proxy.EndpointStats
		want      string
	}{
		{[]proxy.EndpointStats{{Cluster: "c", Endpoint: "a", Requests: 10}, {Cluster: "c", Endpoint: "b", Requests: 5}}, "15"},
		{[]proxy.EndpointStats{{Cluster: "c", Endpoint: "a", Requests: 12}}, "17"},                                             // b left
		{[]proxy.EndpointStats{{Cluster: "c", Endpoint: "a", Requests: 12}, {Cluster: "c", Endpoint: "b", Requests: 1}}, "18"}, // b is back
		{[]proxy.EndpointStats{{Cluster: "c", Endpoint: "a", Requests: 2}}, "20"},                                              // a left and came back unseen
		{nil, "20"},
	} {
		now = step.endpoints
		samples, _ := scrape(t, h)
		if want := `sluice_upstream_requests_total{cluster="c"} ` + step.want; !slices.Contains(samples, want) {
			t.Errorf("step %d: no %s", i, want)
		}
	}
}

func TestRoutesBeyondTheBoundAreOther(t *testing.T) {
	var now []proxy.RequestStats
	h := NewMetrics(Sources{Proxy: func() proxy.Stats { return proxy.Stats{Requests: slices.Clone(now)} }})
	add := func(route string) {
		r := proxy.RequestStats{Route: route, Method: "GET", Status: 200}
		r.Buckets[0] = 1
		now = append(now, r)
	}
	for i := range maxNames {
		add(fmt.Sprintf("r%04d", i))
	}
	add("zz")
	add("zz\xff") // two names that are the same, or as good as
	count := func(route string) string {
		return `http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="` + route + `"} `
	}
	samples, _ := scrape(t, h)
	wantSamples(t, samples, count("r0000")+"1", count("r0999")+"1", count("_other")+"2")
	add("a") // sorts first, and yet takes nobody's label
	samples, _ = scrape(t, h)
	wantSamples(t, samples, count("r0999")+"1", count("_other")+"3")
}

// The log of transitions keeps the latest only; the counter counts them all.
func TestTransitionsAreCountedOnce(t *testing.T) {
	e := newEdges()
	var log []lifecycle.Transition
	for i := range 300 {
		from, to := lifecycle.Serving, lifecycle.LameDuck
		if i%2 == 1 {
			from, to = to, from
		}
		log = append(log, lifecycle.Transition{At: noon.Add(time.Duration(i)), From: from, To: to})
		e.add(log[max(0, len(log)-256):])
		e.add(log[max(0, len(log)-256):])
	}
	if got := e.counts[edge{lifecycle.Serving, lifecycle.LameDuck}]; got != 150 {
		t.Errorf("counted %d, want 150", got)
	}
}

func TestMetricsLint(t *testing.T) {
	_, body := scrape(t, NewMetrics(busy()))
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// The names, types and labels of metrics are a contract: this test fails if one
// changes, and docs/metrics.md with it.
func TestMetricsGolden(t *testing.T) {
	const path = "../docs/metrics.md"
	got := document(policy.Reasons())
	if *update {
		if err := os.MkdirAll("../docs", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("docs/metrics.md is out of date; if the contract may change, run go test ./admin -run Golden -update\n%s", got)
	}
}

// Every metric of the contract is there when everything happens, and nothing else.
func TestMetricsAreTheContract(t *testing.T) {
	_, body := scrape(t, NewMetrics(busy()))
	seen := map[string]string{}
	for line := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, typ, _ := strings.Cut(strings.TrimSpace(rest), " ")
			seen[name] = typ
		}
	}
	for _, f := range families {
		if seen[f.name] != f.kind.String() {
			t.Errorf("%s is %q, want %v", f.name, seen[f.name], f.kind)
		}
		delete(seen, f.name)
	}
	for name := range seen {
		if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("%s is not in the contract", name)
		}
	}
}
