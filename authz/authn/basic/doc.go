// Package basic authenticates by user and password (RFC 7617): "Authorization: Basic BASE64(user:password)".
//
//	a := basic.New("/etc/sluice/users")
//	if _, err := a.Load(); err != nil { // and again whenever the file changed
//		log.Print(err)              // every fault with its line; the last good users stay
//	}
//	id, v := a.Try(&req)
//	if v == authz.Pending {
//		id, v = a.Resolve(req.Clone(a.Fields()...)) // off the loop
//	}
//
// # The file of users
//
// One user in a line, as htpasswd -B writes them, and groups if there are any. Lines that begin with '#' are
// comments.
//
//	ann:$2y$12$...
//	bob:$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH:staff,deployers
//
// What a hash may cost is bounded when the file is read: bcrypt of cost 10 to 14; argon2id of at most 64 MiB, 4
// passes and 4 lanes. bcrypt looks at 72 bytes of a password, so a longer one is never valid with it.
//
// # Guessing
//
// Two hashes are computed at a time, 16 requests wait for that, 3 s at most; whoever has no place is Unavailable.
// A user that does not exist costs the hash of one that does. An address (of IPv6: its /64) with 10 failures in
// a minute is Unavailable until the minute is over, whatever it sends, and so is a user with 100. One address
// alone cannot lock a user out: what it sends when it is throttled counts no more, and ten addresses are needed.
// Together they can, until the minute is over; not those whose password was verified from their address before,
// while that is remembered. All tables are bounded: who has more addresses than they hold (10,000) is forgotten.
//
// # Cost
//
// A password that was verified is remembered for 5 minutes or until the file changes, for the address that sent
// it and by an HMAC under a key of this process. Try allocates nothing.
package basic
