// Package oidc logs people in at a provider of OpenID Connect, and keeps them logged in by a session cookie.
//
//	a, err := oidc.New(oidc.Config{Issuer: "https://idp.example.com", ClientID: "sluice", Secret: secret, Keeper: keeper})
//	go a.Run(ctx)                   // finds the provider out, and again from time to time, until ctx ends
//	id, v := a.Try(&req)            // by the session cookie, from memory
//	if answer := a.Greet(&req); answer != nil {
//		// there is none: to the provider, for a person; 401 and where to log in, for a script
//	}
//	site := oidc.NewSite(a)         // the callback, login, logout, back-channel logout
//
// # A login
//
// It is the code flow with PKCE (S256), state and nonce (OpenID Connect Core 1.0 section 3.1, RFC 7636, RFC 9700). What an attempt
// has to remember is sealed into a cookie of its own: several tabs do not get in each other's way, another replica takes the
// callback, and so does this one after a restart. The code is exchanged once; whatever comes of it, the cookie is cleared with
// the answer. The way back is a path of this host. Tokens are not kept.
//
// # A provider that does not answer
//
// keeps nobody from starting and ends no session: sessions are ours. Its description and keys are fetched in the background and
// kept on disk; logins go on with those as long as the provider itself takes them. What anybody sends has
// them fetched once in 30 s at most.
//
// # Limits
//
// Claims come from the ID token: the userinfo endpoint is not asked, and groups that a token only points at ("_claim_names") are
// an error rather than no groups. There are no refresh tokens: what a provider takes from a user counts from the next login on,
// or from a back-channel logout.
package oidc
