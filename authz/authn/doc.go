// Package authn finds out who sent a request: by API key or by the certificate of the connection; package jwt does by token, package basic by password. The
// proxy asks those of a route in the order of its list.
//
//	keys := authn.NewAPIKeys(authn.APIKeyConfig{File: "/etc/sluice/keys.yaml"})
//	if _, err := keys.Load(); err != nil { // and again whenever the file changed
//		log.Print(err)                 // every fault with its place; the last good keys stay
//	}
//	id, v := keys.Try(&req)
//	if v == authz.Pending {
//		id, v = keys.Resolve(req.Clone(keys.Fields()...)) // off the loop
//	}
//
// # The key file
//
// Only SHA-256 digests of keys are at rest. A key must be random (32 bytes from a good
// source): a digest does not protect a password.
//
//	keys:
//	- id: ci                     # for logs and messages, unique
//	  sha256: 2c26b46b68ff...    # printf %s "$KEY" | sha256sum
//	  user: u-ci                 # default: the id
//	  email: ci@example.com
//	  groups: [deployers]
//	  claims: {team: [build]}
//	  expires: 2027-01-31T00:00:00Z
//
// # Guarantees
//
// A presented key is hashed and its digest looked up: the time that takes says nothing
// about the keys that exist. Try allocates nothing. A credential that is malformed, sent
// twice in different words, unknown or expired is a Challenge, never anonymous. A broken
// key file never replaces a good one.
package authn
