package authn

import (
	"fmt"

	"github.com/sluiceproxy/sluice/authz"
)

// maxUser is the longest name of a user that is taken from a certificate, in bytes (the length of
// a SPIFFE ID).
const maxUser = 2048

// UserFrom is what of a certificate is the user.
type UserFrom uint8

// The sources of a user. Of the names there must be exactly one: of several nobody can say which
// is meant.
const (
	FromURI         UserFrom = iota // the subjectAltName of kind URI: a SPIFFE ID
	FromDNS                         // of kind DNS
	FromEmail                       // of kind email
	FromFingerprint                 // SHA-256 of the certificate, 64 hexadecimal digits
)

// ParseUserFrom reads "uri", "dns", "email" or "fingerprint".
func ParseUserFrom(word string) (UserFrom, error) {
	switch word {
	case "uri":
		return FromURI, nil
	case "dns":
		return FromDNS, nil
	case "email":
		return FromEmail, nil
	case "fingerprint":
		return FromFingerprint, nil
	}
	return 0, fmt.Errorf("%q is none of uri, dns, email and fingerprint", word)
}

// ClientCertificates authenticates by the certificate of the TLS handshake, which the listener has
// verified. It keeps nothing and waits for nobody.
type ClientCertificates struct{ from UserFrom }

var _ authz.Authenticator = (*ClientCertificates)(nil)

// NewClientCertificates takes the user from there.
func NewClientCertificates(from UserFrom) *ClientCertificates { return &ClientCertificates{from} }

// Name returns "client_certificate".
func (a *ClientCertificates) Name() string { return "client_certificate" }

// ChallengeHeader says what is missing. No scheme is registered for it; but a 401 has to name one
// (RFC 9110 section 15.5.2).
func (a *ClientCertificates) ChallengeHeader() string { return `ClientCertificate realm="sluice"` }

// OfConnection marks an authenticator that looks at no field of the request: credentials in
// fields are not for it, and are forwarded.
func (a *ClientCertificates) OfConnection() {}

// Try answers Deny without a certificate, and Challenge to one that names no user or several.
func (a *ClientCertificates) Try(req *authz.Request) (*authz.Identity, authz.Verdict) {
	if req.Certificate == nil {
		return nil, authz.Deny
	}
	id := req.Certificate.Identity(a.identity)
	if id == nil {
		return nil, authz.Challenge
	}
	return id, authz.Allow
}

// Resolve is Try.
func (a *ClientCertificates) Resolve(req *authz.Request) (*authz.Identity, authz.Verdict) {
	return a.Try(req)
}

// identity is who the certificate is of; nil: it does not say.
func (a *ClientCertificates) identity(c *authz.ClientCertificate) *authz.Identity {
	user := ""
	switch a.from {
	case FromURI:
		user = only(c.URIs)
	case FromDNS:
		user = only(c.DNSNames)
	case FromEmail:
		user = only(c.Emails)
	case FromFingerprint:
		user = c.Fingerprint
	}
	if user == "" {
		return nil
	}
	return &authz.Identity{Method: a.Name(), User: user, Email: only(c.Emails)}
}

// only is the one name of a list that can be written into a field of a request; "" if there is
// another, or none. An authority may sign any ASCII, line ends included.
func only(names []string) string {
	if len(names) != 1 || len(names[0]) > maxUser {
		return ""
	}
	for i := range len(names[0]) {
		if c := names[0][i]; c <= ' ' || c >= 0x7f || c == ',' {
			return ""
		}
	}
	return names[0]
}
