// Package assertion tells upstreams who sent a request in a way that they can verify: a signed token (JWT, RFC 7519) in a
// field of the request, whose public keys are at a well-known path of every host (JWK Set, RFC 7517).
//
// Fields like X-Sluice-User are as good as the network between the proxy and its upstreams: whoever reaches an upstream
// past the proxy can write them. An upstream that verifies the token needs to trust nobody on that way.
//
//	signer := assertion.New(assertion.Config{File: "assertion.pem"})
//	_, err := signer.Load()                        // and again when the file changes
//	token := signer.Assert(id, host, time.Now())   // from memory, but for one signature in two and a half minutes
package assertion
