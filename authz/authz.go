package authz

import (
	"net/netip"
	"time"
)

// Fields gives read access to the header fields of a request without copying.
type Fields interface {
	// Field returns the value of the first field with that name (lower case) and how
	// many fields of the name there are. The value aliases the request.
	Field(name string) (value []byte, count int)
}

// Request is what the stages may know of a request. All byte slices alias buffers
// of the loop: they are valid during the call and not afterwards. Clone makes a
// copy that lasts.
type Request struct {
	Route  string // name of the matched route; "" on a TCP listener's routes is not possible
	Method string // as sent, case-sensitive; "" for TCP
	Host   []byte // lower case, without port or trailing dot
	// Authority is Host as the client wrote it, with a port if there was one: for redirects back to here. It is valid by
	// syntax, and no more to be trusted than Host.
	Authority []byte
	Path      []byte     // the one normalised form that was routed and will be forwarded
	Query     []byte     // raw, without '?'
	Time      time.Time  // of the decision, by the wall clock
	Source    netip.Addr // the client, behind trusted hops; 4-in-6 unmapped
	Fields    Fields     // nil for TCP
	// Secure: the client's own connection is TLS, ended here or, by the word of a trusted proxy (X-Forwarded-Proto), there.
	Secure bool
	// Preflight: a browser asks whether a page of another origin may send a request (an OPTIONS
	// with one Origin and one Access-Control-Request-Method: the Fetch standard, CORS-preflight request).
	// Such a question carries no credential.
	Preflight bool
	// Certificate is the client's own, verified; nil: its connection has shown none.
	Certificate *ClientCertificate
}

// Identity says who sent a request. It is immutable once made and may be shared.
// A nil *Identity is anonymous.
type Identity struct {
	Method string              // which authenticator vouches: "api_key", ...
	User   string              // stable id, never empty
	Email  string              // may be empty
	Groups []string            // may be empty
	Claims map[string][]string // by path, without the "claim/" prefix; may be nil
	// Session is the login that this identity lives from: when it ends, the open streams of its requests end. nil: the
	// credential comes with each request, and there is no session.
	Session *Session
}

// Verdict is the answer of a stage.
type Verdict uint8

// The verdicts. The zero value is Deny.
const (
	Deny        Verdict = iota // refused: 403, or 401 if there is a challenge
	Allow                      // go on
	Challenge                  // a credential is needed, or the one given is not valid: 401
	Unavailable                // the stage cannot decide now: 503. Never treated as Allow
	Pending                    // not decidable on the loop: clone, ask, come back (Authenticator only)
)

func (v Verdict) String() string {
	switch v {
	case Deny:
		return "deny"
	case Allow:
		return "allow"
	case Challenge:
		return "challenge"
	case Unavailable:
		return "unavailable"
	case Pending:
		return "pending"
	}
	return "invalid"
}

// Decision is what the authorize stage says and why. Reason is from the closed set
// of reason codes of authz/policy ("email-unauthorized", ...): fit for a metric label.
type Decision struct {
	Verdict Verdict
	Reason  string
	Rule    int // index of the policy rule that decided; -1: none
}

// Authenticator finds out who sent a request. Implementations are safe for
// concurrent use and never retain what aliases the request.
type Authenticator interface {
	// Name is the word used in a route's authenticate list: "api_key".
	Name() string
	// Try answers from memory without blocking or allocating:
	// Allow with an identity; Deny with nil if the request carries no credential of this
	// kind (the next authenticator is asked; anonymous if none is left);
	// Challenge if it carries one that is not valid (behind a Renewer the next is asked all the same, since browsers send cookies
	// by themselves; if none vouches it is a 401, not anonymous); Unavailable; or
	// Pending, and then Resolve must be called off the loop with a clone.
	Try(*Request) (*Identity, Verdict)
	// Resolve is the slow half of Try: it may block, within its own deadline.
	// It never returns Pending.
	Resolve(*Request) (*Identity, Verdict)
	// ChallengeHeader is the value of WWW-Authenticate for a 401.
	ChallengeHeader() string
}

// Authorizer decides whether that identity may make that request. It must not
// block or allocate. A nil identity is anonymous.
type Authorizer interface {
	Authorize(*Identity, *Request) Decision
}
