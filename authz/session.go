package authz

import "time"

// Session is the login that an identity lives from. It is immutable and may be shared.
type Session struct {
	ID       string    // of this login, never empty: 128 random bits, base64url
	Issuer   string    // who vouched for it
	Subject  string    // who it is by the issuer's word: stable and unique for that issuer
	Upstream string    // the issuer's own name of the session ("sid" of OpenID Connect); may be empty
	Began    time.Time // when the user logged in, by the wall clock
	Expires  time.Time // it is over then, however busy
}

// Sessions tells whether a session goes on. Implementations are safe for concurrent use.
type Sessions interface {
	// Ended returns why a session is over, from the closed set of reasons ("session_revoked", "session_expired"); "": it is
	// not. It is called on the loop for each open stream when something may have changed, and does not block or allocate.
	Ended(s *Session, now time.Time) string
}

// Asserter tells upstreams who sent a request in a form that they can verify. Implementations are safe for concurrent use.
type Asserter interface {
	// Assert returns a token about an identity (not nil) for the upstream of a request to host; "": it has none to give. It is
	// called on the loop; what it says again it does not compute again.
	Assert(id *Identity, host []byte, now time.Time) string
}
