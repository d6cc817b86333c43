package admin

// The names, types and labels of metrics are a stable contract: what stands here changes
// only with a line in the changelog. docs/metrics.md is generated from it (reference.go).

// family is the description of one metric.
type family struct {
	name   string
	kind   kind
	help   string
	labels []string
}

// kind is the type of a metric.
type kind int

const (
	gauge kind = iota
	counter
	histogram
)

func (k kind) String() string {
	switch k {
	case gauge:
		return "gauge"
	case counter:
		return "counter"
	case histogram:
		return "histogram"
	}
	return "invalid"
}

// id is the place of a family in families.
type id int

const (
	buildInfo id = iota
	generationNumber
	generationState
	generationInitial
	generationRemaining
	generationDeadline
	generationClosed
	generationInterrupted
	lifecycleState
	lifecycleTransitions
	ready
	checkStatus
	checkSince
	refused
	tlsHandshakes
	tlsExpiry
	tlsReloads
	tlsClients
	connectionsActive
	connectionsAccepted
	connectionsClosed
	connectionsTold
	websocketsClosed
	eventStreamsTold
	streamsEnded
	idleTimeouts
	panics
	http2Errors
	http2Refused
	http2SlowHeads
	http2Unheard
	acceptFailures
	requestDuration
	activeRequests
	badRequests
	requestsDropped
	slowClients
	decisions
	upstreamActive
	upstreamRequests
	upstreamConnects
	upstreamConnectErrors
	upstreamTLSErrors
	upstreamEndpoints
	upstreamFailures
	upstreamEjections
	upstreamChecks
	upstreamRetries
	upstreamConnections
	upstreamPending
	upstreamPendingRefused
	upstreamBadResponses
	upstreamTruncated
	upstreamPoisoned
	upstreamClosedIdle
	loginResults
	idpFailures
	policySynced
	policyVersion
	policyLastSync
	policyStale
	policyFreshness
	policyExpires
	policyRejected
	policyNewestRejected
	sessionsOpened
	sessionsBegun
	sessionsRenewed
	sessionsRevoked
	sessionsEntries
	sessionsPending
	sessionsStale
	sessionsFleetStale
	sessionsKeys
	drainDeadline
	drainInitial
	drainRemaining
	drainClosed
	drainInterrupted
	drainPhase
	drainDuration
	lastDrainTime
	lastDrainDuration
	lastDrainInitial
	lastDrainCut
	lastDrainInterrupted
	lastDrainClosed
	lastDrainTold
	lastDrainPhase
	lastDrainUnsent
	lastDrainExpectedLoss
	lastDrainActualLoss
	lastDrainResidue
	lastDrainKernel
	fleetRegistered
	fleetStoreUp
	fleetStoreFailures
	fleetLeasesLost
	fleetWaiting
	fleetTurnsTotal
	reloads
	reloadOK
	reloadTime
	logLost
	numFamilies
)

// families is a compiled table, never changed.
var families = [numFamilies]family{
	buildInfo:             {"sluice_build_info", gauge, "What runs; always 1.", []string{"version", "revision", "goversion"}},
	generationNumber:      {"sluice_generation", gauge, "Generation of this process: 1, and one more with each upgrade.", nil},
	generationState:       {"sluice_generation_state", gauge, "1 for the state that an earlier generation is in, 0 for the others: draining, drained, gone. At most three drain.", []string{"generation", "state"}},
	generationInitial:     {"sluice_generation_connections_initial", gauge, "Connections open in an earlier generation when it began to drain.", []string{"generation", "class"}},
	generationRemaining:   {"sluice_generation_connections_remaining", gauge, "Connections open in an earlier generation.", []string{"generation", "class"}},
	generationDeadline:    {"sluice_generation_drain_deadline_timestamp_seconds", gauge, "Unix time at which an earlier generation cuts what is left; 0 once it is over.", []string{"generation"}},
	generationClosed:      {"sluice_generation_connections_closed_total", counter, "Connections of an earlier generation that ended since it was handed over, by how.", []string{"generation", "outcome"}},
	generationInterrupted: {"sluice_generation_requests_interrupted_total", counter, "Requests that an earlier generation interrupted.", []string{"generation"}},
	lifecycleState:        {"sluice_lifecycle_state", gauge, "State of the process: exactly one is 1.", []string{"state"}},
	lifecycleTransitions:  {"sluice_lifecycle_transitions_total", counter, "Transitions between states of the process.", []string{"from", "to"}},
	ready:                 {"sluice_ready", gauge, "What the readiness probe answers: 1 is ready.", nil},
	checkStatus:           {"sluice_health_check_status", gauge, "Status of a health check: exactly one of each check is 1.", []string{"check", "status"}},
	checkSince:            {"sluice_health_check_since_timestamp_seconds", gauge, "Unix time of the last change of a health check.", []string{"check"}},

	refused:             {"sluice_refused_total", counter, "Connections and requests refused before an upstream was asked.", []string{"listener", "reason"}},
	connectionsActive:   {"sluice_connections_active", gauge, "Open downstream connections.", []string{"listener", "protocol", "state"}},
	connectionsAccepted: {"sluice_connections_accepted_total", counter, "Accepted downstream connections.", []string{"listener"}},
	connectionsClosed:   {"sluice_connections_closed_total", counter, "Closed downstream connections, by how they ended.", []string{"listener", "reason"}},
	connectionsTold:     {"sluice_connections_told_total", counter, "Downstream connections told to leave.", nil},
	websocketsClosed:    {"sluice_websockets_closed_total", counter, "WebSockets whose client got a Close frame of the proxy, and those of them that are over and were closed by both sides.", []string{"state"}},
	eventStreamsTold:    {"sluice_event_streams_told_total", counter, "Event streams that heard of a drain: a hint when to come back, or an end behind it.", []string{"ending"}},
	streamsEnded:        {"sluice_streams_ended_total", counter, "Open streams (tunnels, calls, responses without a length) ended because their session, the policy or their age did not allow them any more.", []string{"reason"}},
	idleTimeouts:        {"sluice_idle_timeouts_total", counter, "Downstream connections closed because they idled for too long.", nil},

	tlsHandshakes: {"sluice_tls_handshakes_total", counter, "TLS handshakes of downstream connections, by how they ended.", []string{"listener", "result"}},
	tlsExpiry:     {"sluice_tls_certificate_expiry_timestamp_seconds", gauge, "Unix time at which the first certificate of a listener expires.", []string{"listener"}},
	tlsClients:    {"sluice_tls_client_expiry_timestamp_seconds", gauge, "Unix time at which the first authority of clients, or revocation list, of a listener expires.", []string{"listener", "of"}},
	tlsReloads:    {"sluice_tls_certificate_reloads_total", counter, "Times that the files of a listener's certificates were read and put in force, or refused; what is refused is read again every few seconds.", []string{"listener", "result"}},

	acceptFailures: {"sluice_accept_failures_total", counter, "Attempts to accept a connection that failed for want of a descriptor or of memory.", []string{"listener"}},
	http2Errors:    {"sluice_http2_connection_errors_total", counter, "HTTP/2 connections of clients that were ended for what the client sent, by reason.", []string{"reason"}},
	http2Refused:   {"sluice_http2_streams_refused_total", counter, "HTTP/2 streams of clients that were reset for what the client sent, by reason.", []string{"reason"}},
	http2SlowHeads: {"sluice_http2_slow_heads_total", counter, "HTTP/2 connections of clients that were ended because a head did not become whole in time.", nil},
	http2Unheard:   {"sluice_http2_goodbyes_unanswered_total", counter, "Goodbyes to HTTP/2 clients that were not answered within two seconds.", nil},
	panics:         {"sluice_panics_total", counter, "Faults of the proxy that ended one exchange or tunnel, by where.", []string{"where"}},

	requestDuration: {"http_server_request_duration_seconds", histogram, "Time from the head of a request to the last byte of its response.", []string{"http_request_method", "http_response_status_code", "http_route"}},
	activeRequests:  {"http_server_active_requests", gauge, "Requests in flight.", nil},
	badRequests:     {"sluice_bad_requests_total", counter, "Malformed or ambiguous requests, answered 4xx and never forwarded.", nil},
	requestsDropped: {"sluice_requests_dropped_total", counter, "Requests that ended before their response was complete, whoever ended them.", nil},
	slowClients:     {"sluice_slow_clients_total", counter, "Requests ended because their client sent the body, or took the response, below limits.min_rate.", nil},
	decisions:       {"sluice_authz_decisions_total", counter, "Decisions of the authorize stage.", []string{"decision", "reason"}},

	upstreamActive:         {"sluice_upstream_active_requests", gauge, "Requests in flight to a cluster.", []string{"cluster"}},
	upstreamRequests:       {"sluice_upstream_requests_total", counter, "Requests sent to a cluster.", []string{"cluster"}},
	upstreamConnects:       {"sluice_upstream_connects_total", counter, "Connections opened to a cluster.", []string{"cluster"}},
	upstreamTLSErrors:      {"sluice_upstream_tls_errors_total", counter, "TLS handshakes with a cluster, health checks included, that failed: certificate is that of the upstream.", []string{"cluster", "reason"}},
	upstreamConnectErrors:  {"sluice_upstream_connect_errors_total", counter, "Connections to a cluster that failed to open.", []string{"cluster"}},
	upstreamEndpoints:      {"sluice_upstream_endpoints", gauge, "Endpoints of a cluster, by their health.", []string{"cluster", "state"}},
	upstreamFailures:       {"sluice_upstream_failures_total", counter, "Requests to a cluster that broke or timed out before an answer.", []string{"cluster"}},
	upstreamEjections:      {"sluice_upstream_ejections_total", counter, "Endpoints of a cluster ejected because they failed real traffic.", []string{"cluster"}},
	upstreamChecks:         {"sluice_upstream_health_checks_total", counter, "Health checks of the endpoints of a cluster.", []string{"cluster", "result"}},
	upstreamRetries:        {"sluice_upstream_retries_total", counter, "Requests that could be sent to a cluster again, and whether the retry budget had room.", []string{"cluster", "result"}},
	upstreamConnections:    {"sluice_upstream_connections", gauge, "Open connections to a cluster.", []string{"cluster"}},
	upstreamPending:        {"sluice_upstream_pending_requests", gauge, "Requests and TCP connections that wait for a connection to a cluster (max_connections).", []string{"cluster"}},
	upstreamPendingRefused: {"sluice_upstream_pending_refused_total", counter, "Requests and TCP connections refused because too many waited, or waited for too long.", []string{"reason"}},
	upstreamBadResponses:   {"sluice_upstream_bad_responses_total", counter, "Malformed responses of upstreams.", nil},
	upstreamTruncated:      {"sluice_upstream_truncated_responses_total", counter, "Responses of upstreams that ended too early.", nil},
	upstreamPoisoned:       {"sluice_upstream_poisoned_connections_total", counter, "Idle upstream connections on which an answer came that nobody asked for.", nil},
	upstreamClosedIdle:     {"sluice_upstream_idle_closed_total", counter, "Idle upstream connections closed by the upstream.", nil},

	loginResults: {"sluice_logins_total", counter, "Logins at a provider, by how they went.", []string{"provider", "result"}},
	idpFailures:  {"sluice_idp_fetch_failures_total", counter, "Fetches of the description and keys of a provider that failed.", []string{"provider"}},

	policySynced:         {"sluice_policy_synced", gauge, "Whether a policy is in force.", nil},
	policyVersion:        {"sluice_policy_version_info", gauge, "Policy version in force; always 1, absent while there is none.", []string{"version", "hash"}},
	policyLastSync:       {"sluice_policy_last_sync_timestamp_seconds", gauge, "Unix time at which the policy in force was applied; 0 while there is none.", nil},
	policyStale:          {"sluice_policy_stale_seconds", gauge, "For how long the policy in force was not seen to be the newest.", nil},
	policyFreshness:      {"sluice_policy_freshness", gauge, "What became of the age of the policy in force: 1 for one state, 0 for the others.", []string{"state"}},
	policyExpires:        {"sluice_policy_expires_timestamp_seconds", gauge, "Unix time at which the policy in force expires; 0 if it never does.", nil},
	policyRejected:       {"sluice_policy_rejected_total", counter, "Policy versions kept out, by why.", []string{"reason"}},
	policyNewestRejected: {"sluice_policy_newest_rejected", gauge, "Whether the newest policy version is kept out.", nil},

	sessionsOpened:     {"sluice_sessions_opened_total", counter, "Session cookies of requests, by what came of them: remembered and opened were good.", []string{"result"}},
	sessionsBegun:      {"sluice_sessions_begun_total", counter, "Sessions that began here.", nil},
	sessionsRenewed:    {"sluice_sessions_renewed_total", counter, "Session cookies that were sealed anew.", nil},
	sessionsRevoked:    {"sluice_sessions_revocations_total", counter, "Revocations of sessions that were made here.", nil},
	sessionsEntries:    {"sluice_sessions_revocation_entries", gauge, "Revocations in force, whoever made them.", nil},
	sessionsPending:    {"sluice_sessions_revocations_pending", gauge, "Revocations in force here that are not on disk yet, so that others do not know of them.", nil},
	sessionsFleetStale: {"sluice_sessions_revocation_fleet_stale_seconds", gauge, "How long ago the list of revocations that the fleet shares was last read well; absent where it is not shared.", nil},
	sessionsStale:      {"sluice_sessions_revocation_stale_seconds", gauge, "How long ago the list of revocations was last read well.", nil},
	sessionsKeys:       {"sluice_sessions_keys_info", gauge, "Keys that seal and open sessions, by a hash; always 1, absent without sessions.", []string{"hash"}},

	drainDeadline:    {"sluice_drain_deadline_timestamp_seconds", gauge, "Unix time at which the rest is cut; 0 while not draining.", nil},
	drainInitial:     {"sluice_drain_connections_initial", gauge, "Connections open when draining began.", []string{"state"}},
	drainRemaining:   {"sluice_drain_connections_remaining", gauge, "Connections that still hold the drain; 0 while not draining.", []string{"listener", "protocol", "state"}},
	drainClosed:      {"sluice_drain_connections_closed_total", counter, "Connections closed since the lame duck began, by how they ended; counted once draining began.", []string{"outcome"}},
	drainInterrupted: {"sluice_drain_requests_interrupted_total", counter, "Requests that the drain ended before they finished.", nil},
	drainPhase:       {"sluice_drain_phase_duration_seconds", histogram, "Duration of a phase of the drain.", []string{"phase"}},
	drainDuration:    {"sluice_drain_duration_seconds", histogram, "Duration of the whole drain.", []string{"outcome"}},

	lastDrainTime:         {"sluice_last_drain_timestamp_seconds", gauge, "Unix time of the end of the last drain: of the life before this one, or of a generation that ended since.", nil},
	lastDrainDuration:     {"sluice_last_drain_duration_seconds", gauge, "Duration of the last drain.", nil},
	lastDrainInitial:      {"sluice_last_drain_connections_initial", gauge, "Connections open when the last drain began.", nil},
	lastDrainCut:          {"sluice_last_drain_connections_cut", gauge, "Connections cut or stuck in the last drain.", nil},
	lastDrainInterrupted:  {"sluice_last_drain_requests_interrupted", gauge, "Requests interrupted by the last drain.", nil},
	lastDrainClosed:       {"sluice_last_drain_connections_closed", gauge, "Connections closed in the last stop, by how they ended.", []string{"outcome"}},
	lastDrainTold:         {"sluice_last_drain_connections_told", gauge, "Connections told to leave in the last stop.", nil},
	lastDrainPhase:        {"sluice_last_drain_phase_duration_seconds", gauge, "Duration of a phase of the last stop; absent if there was none.", []string{"phase"}},
	lastDrainUnsent:       {"sluice_last_drain_unsent_bytes", gauge, "Bytes meant for clients in the last stop that are not known to have arrived.", nil},
	lastDrainExpectedLoss: {"sluice_last_drain_requests_expected_lost", gauge, "Requests that idle closes of the last stop were expected to lose.", nil},
	lastDrainActualLoss:   {"sluice_last_drain_requests_lost_idle", gauge, "Requests that idle closes of the last stop are known to have lost.", nil},
	lastDrainResidue:      {"sluice_last_drain_accept_queue_residue", gauge, "Connections that were still queued when a listener was closed in the last stop.", nil},
	lastDrainKernel:       {"sluice_last_drain_kernel_events", gauge, "What the kernel counted in the network namespace during the last stop; absent without a reading.", []string{"event"}},

	fleetRegistered:    {"sluice_fleet_registered", gauge, "1 while the store of the fleet has what this process says of itself; absent, as all of these, without a fleet.", nil},
	fleetStoreUp:       {"sluice_fleet_store_up", gauge, "1 if the store of the fleet answered the last call.", nil},
	fleetStoreFailures: {"sluice_fleet_store_failures_total", counter, "Calls of the store of the fleet that failed.", nil},
	fleetLeasesLost:    {"sluice_fleet_leases_lost_total", counter, "Leases in the fleet that were over before they were renewed.", nil},
	fleetWaiting:       {"sluice_fleet_turn_waiting", gauge, "1 while this process was told to stop or to upgrade, and waits for its turn, serving.", nil},
	fleetTurnsTotal:    {"sluice_fleet_turns_total", counter, "What came of asking for a turn to leave the fleet. All but given left without one, or did not leave.", []string{"turn"}},

	reloads:    {"sluice_config_reloads_total", counter, "Reloads.", []string{"result"}},
	reloadOK:   {"sluice_config_last_reload_successful", gauge, "Whether the last reload was successful; 1 before the first.", nil},
	logLost:    {"sluice_log_lines_lost_total", counter, "Lines of a log that were lost: its reader was too slow, or a write failed.", []string{"log", "reason"}},
	reloadTime: {"sluice_config_last_reload_success_timestamp_seconds", gauge, "Unix time of the last successful reload; 0 before the first.", nil},
}
