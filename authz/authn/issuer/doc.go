// Package issuer is about those who sign tokens: their keys, which of them a token names, and what the claims of a token say.
//
//	keys, err := issuer.NewRemote(issuer.RemoteConfig{URL: "https://idp.example.com/keys"})
//	go keys.Run(ctx) // fetches at once, from time to time, and when asked; until ctx ends
//	finder := &issuer.Finder{Keys: keys}
//	set, key, err := finder.Find(header)                    // of a token; waits for a fetch if it names a key that is not there
//	claims, err := issuer.ParseClaims(payload)              // that was verified by key
//	id, err := claims.Identity("jwt", issuer.Names{User: "sub"})
//
// # Keys that cannot be had
//
// What anybody sends has them fetched once in [RemoteConfig.MinInterval] at most. An issuer that does not
// answer ends nothing: its last keys stay. Where nobody can say whether a key exists the error is [ErrUnavailable]: the token
// may be a good one.
package issuer
