package proxy

import "github.com/sluiceproxy/sluice/drain"

// Reasons are the words for what this package refuses, breaks off or cuts by itself: the reason of an
// answer (X-Sluice-Reason, access records) or of a refusal (metrics). A closed set: each has a section in
// docs/errors.md. A request that is malformed has one of [h1.Reasons] or [h2.Reasons] instead, one that
// a policy refuses the reason of its decision.
func Reasons() []string {
	words := []string{
		"asterisk", "authenticate_overloaded", "authenticate_timeout", "authenticate_unavailable", "bad_response", "body_rate", "body_timeout",
		"certificate_lapsed", "client_closed", "closed_by_operator", "connect", "connect_failed", "credential_invalid", "decision_log_full", "drain_deadline", "dropped",
		"header_timeout", "host", "length_required", "max_forwards", "method", "method_case", "method_override", "misdirected", "no_endpoint", "no_healthy_endpoint", "no_site",
		"not_tls", "panic", "path", "pending_full", "pending_timeout", "response_timeout", "site_body", "trace", "upstream_closed",
		"upstream_limit", "upstream_stalled", "websocket_key", "websocket_unsupported",
	}
	for r := range numRefusals {
		words = append(words, r.String())
	}
	for _, c := range []drain.Cause{drain.CauseRoute, drain.CausePeerGone, drain.CausePeerStuck} {
		words = append(words, c.String())
	}
	return words
}
