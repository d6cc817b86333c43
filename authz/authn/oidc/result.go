package oidc

import "sync/atomic"

// Result is how a login went. It is a label of metrics.
type Result string

// The results, a closed set.
const (
	Started     Result = "started"     // sent to the provider
	Done        Result = "done"        // a session began
	Lost        Result = "lost"        // a callback without its attempt: another browser, no cookies, a second time, or somebody else's login
	Expired     Result = "expired"     // the attempt took too long
	Refused     Result = "refused"     // the provider said no, or that a code is not good
	Failed      Result = "failed"      // the provider did not answer, or with an error of its own
	Untrusted   Result = "untrusted"   // the ID token is not one to believe
	Unsuitable  Result = "unsuitable"  // the claims make nobody whom we can know
	TooLarge    Result = "too_large"   // they do not fit into a cookie
	Unavailable Result = "unavailable" // the provider is not known yet, or we have no keys to seal with
)

// Results lists them all.
func Results() []Result {
	return []Result{Started, Done, Lost, Expired, Refused, Failed, Untrusted, Unsuitable, TooLarge, Unavailable}
}

type counts struct{ n [10]atomic.Int64 }

func (c *counts) add(r Result) {
	for i, other := range Results() {
		if r == other {
			c.n[i].Add(1)
		}
	}
}

func (c *counts) all() map[Result]int64 {
	m := map[Result]int64{}
	for i, r := range Results() {
		m[r] = c.n[i].Load()
	}
	return m
}

// The reasons of our answers, a closed set.
const (
	reasonLogin       = "login"             // 302, to the provider
	reasonRequired    = "login_required"    // 401, and where to log in
	reasonInsecure    = "login_insecure"    // 403
	reasonUnavailable = "login_unavailable" // 503
	reasonDone        = "login_done"        // 303, back
	reasonLost        = "login_lost"        // 400
	reasonExpired     = "login_expired"     // 400
	reasonRefused     = "login_refused"     // 403
	reasonFailed      = "login_failed"      // 502
	reasonUntrusted   = "login_untrusted"   // 403
	reasonUnsuitable  = "login_unsuitable"  // 403
	reasonTooLarge    = "login_too_large"   // 403
	reasonMethod      = "login_method"      // 405
	reasonLogout      = "logout"            // 200, the button; 303, out; 503, too many at once
	reasonForeign     = "logout_foreign"    // 403
	reasonSignedOut   = "signed_out"        // 200
	reasonBackchannel = "logout_token"      // 200, 400, 503: of a provider's logout token
)

// Reasons lists them all.
func Reasons() []string {
	return []string{reasonLogin, reasonRequired, reasonInsecure, reasonUnavailable, reasonDone, reasonLost, reasonExpired, reasonRefused, reasonFailed,
		reasonUntrusted, reasonUnsuitable, reasonTooLarge, reasonMethod, reasonLogout, reasonForeign, reasonSignedOut, reasonBackchannel}
}
