// Package tlslayer gives TLS to any driver: it stands between a driver and the handlers, and
// whoever is above or below sees the interface of package engine.
//
// The records of an open connection are sealed and opened on its loop. Handshakes, which cost
// a hundred times as much and wait for the peer in between, run on goroutines, no more than Config.Working of them
// computing at a time, that talk to a connection in memory and are kept for the next; the loop carries the bytes to and fro. crypto/tls keeps
// no error of a read that says Temporary, so a read that finds nothing is simply tried again
// when more has come (pinned by TestReadsAreNotSticky).
//
//	         StartTLS             the first records are whole     done
//	(plain) ──────────▶ greeting ─────────────────────────▶ handshaking ─────▶ open
//	   ▲                   │ not TLS                            │ error          │
//	   └───────────────────┘                                    └──▶ failed      └── Close, or broken ──▶ closing
package tlslayer
