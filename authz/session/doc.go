// Package session keeps logins in sealed cookies: no store is asked for a request, any replica that has the keys opens the
// session of any other, and a restart ends none.
//
//	ring := session.NewRing("/var/lib/sluice/session.keys")
//	if _, err := ring.Load(); err != nil { // and again whenever the file changed
//		log.Print(err)                 // every fault with its line; the last good keys stay
//	}
//	keeper := session.New(session.Config{Ring: ring})
//	setCookie, err := keeper.Begin(host, session.Claims{Provider: "oidc", Issuer: iss, Subject: sub, User: sub})
//	id, verdict := keeper.Try("oidc", &req)                                         // of later requests
//	err = keeper.Revoke(ctx, session.Revocation{Kind: session.Sub, Issuer: iss, Value: sub}) // ends all of a user
//
// # What a cookie is
//
// "__Host-sluice_" and the provider's name, with Secure, HttpOnly, SameSite=Lax and Path=/. Its value is v1, the name of the
// key, and AES-256-GCM of the claims under a key that HKDF derives from the ring's for the purpose alone; purpose and host
// are authenticated with it. So what was sealed for one host, provider or purpose opens for no other.
//
// # Guarantees
//
// Nothing opens that was not sealed. Whoever has no cookie is asked for one, whoever has one that is not good is challenged,
// and never taken for anonymous. Of several cookies of the name in one request those that do not open count as absent; where
// those that open are of one login, the one that was sealed last is taken, and where they are of several, none. A session ends
// after the idle time without a request, after its lifetime, and by revocation, and no clock of another replica that is a
// minute off changes who is in. What does not fit into a cookie is an error that names what is large; nothing is cut off.
//
// # Limits
//
// A stateless session can be ended before its time only by a list of those that are: see [List].
package session
