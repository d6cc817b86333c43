// Package edgetls keeps the certificates of a listener: read from files and folders, checked
// before they are used, chosen by server name, and changed without touching the listener.
//
// A [Store] always has a good set. Reload reads everything anew, and swaps it in only if all of
// it is good; otherwise the last good set stays in force, and the error says which file is at
// fault and why. Handshakes that have begun go on with the set that they began with. No
// connection is cut by a change: a certificate that has expired meanwhile matters to handshakes
// only.
//
// Clients may be asked for certificates ([Clients]), which stand against authorities and revocation
// lists that are swapped with the rest. A resumed session is held to those in force when it is
// resumed, and [Store.Standing] says what has become of a client whose connection is open.
//
// TLS 1.2 and 1.3, no renegotiation, no early data (RFC 8446 section 8: it can be replayed).
package edgetls
