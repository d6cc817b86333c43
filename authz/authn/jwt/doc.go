// Package jwt authenticates by a JSON Web Token (RFC 7519) that an issuer has signed: "Authorization:
// Bearer TOKEN" (RFC 6750).
//
//	keys, err := issuer.NewRemote(issuer.RemoteConfig{URL: "https://idp.example.com/keys"})
//	go keys.Run(ctx) // until ctx ends
//	a, err := jwt.New(jwt.Config{Issuers: []jwt.Issuer{{
//		Issuer: "https://idp.example.com", Audience: []string{"sluice"}, Keys: keys,
//	}}})
//	id, v := a.Try(&req)
//	if v == authz.Pending {
//		id, v = a.Resolve(req.Clone(a.Fields()...)) // off the loop
//	}
//
// # What is believed
//
// A token is believed if its issuer is one of ours, its signature is by one of that issuer's keys and an
// algorithm of its list (never "none", never a symmetric one), its audience is ours, and it is valid now:
// "exp" is required, "nbf" is looked at. Of the header nothing else counts: a key that a token brings
// along or points at ("jwk", "jku", "x5c", "x5u") is not looked at, and what it says has to be understood
// ("crit") refuses it, as does a "typ" of another kind of token (RFC 8725).
//
// # Keys that cannot be had
//
// The keys of an issuer are fetched in the background, and again when a token names one that is not
// there, but for that not more often than once in its MinInterval whatever anybody sends. An issuer
// that does not answer ends nothing: its last keys stay. Where there are none yet the answer is
// Unavailable, not Challenge: a client that is sent away with 401 would throw away a good token.
//
// # Cost
//
// A verification costs 40 to 120 us, so it is made off the loop, and remembered by the digest of the token
// until that expires or the keys change. Try allocates nothing.
package jwt
