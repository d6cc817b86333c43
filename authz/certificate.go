package authz

import "sync/atomic"

// ClientCertificate is what a client proved of itself in its TLS handshake: a certificate that an
// authority of the listener vouches for. It is made once for a connection, and shared by all its
// requests; nobody changes it.
type ClientCertificate struct {
	Fingerprint string   // SHA-256 of the certificate, 64 hexadecimal digits in lower case
	SPKIHash    string   // SHA-256 of its public key (SubjectPublicKeyInfo), base64
	URIs        []string // the subjectAltNames by their kind, in their order; a SPIFFE ID is a URI
	DNSNames    []string // in lower case
	Emails      []string // as written

	identity atomic.Pointer[Identity] // see Identity
}

// Identity returns what made makes of the certificate, which it is asked once; it may return nil,
// and is asked again then. A process has one way to do so: whoever asks with another gets what the
// first made.
func (c *ClientCertificate) Identity(made func(*ClientCertificate) *Identity) *Identity {
	if id := c.identity.Load(); id != nil {
		return id
	}
	id := made(c)
	if id != nil {
		c.identity.Store(id)
	}
	return id
}
