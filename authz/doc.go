// Package authz holds the contracts of the two stages that every request passes:
// authenticate (who is it?) and authorize (may they?).
//
// Both answer from memory on the loop and allocate nothing; an authenticator that
// needs longer says [Pending] and is asked again off the loop with a clone. The
// default of every answer is deny: the zero [Verdict] is Deny, and a stage that
// cannot decide says Unavailable, which is never treated as Allow.
//
//	id, v := authenticator.Try(&req)          // Allow, Deny (no credential), Challenge, ...
//	if v == authz.Allow || v == authz.Deny {  // known or anonymous
//		d := authorizer.Authorize(id, &req)   // deny wins; an error is a deny
//		forward := d.Verdict == authz.Allow
//	}
package authz
