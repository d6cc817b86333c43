// Package h2 is an HTTP/2 connection without I/O: both halves of RFC 9113, over RFC 7541 (HPACK) and RFC 8441 (extended
// CONNECT). It has no socket, clock or goroutine: bytes go into Receive, events come out, and Append gives what is to be sent.
//
//	c := h2.New(h2.Config{Pool: loop.pool}, ev)   // Config.Client: the half that opens streams
//	err := c.Receive(buf, now)                    // calls ev.Head, ev.Data, ...; an error queues GOAWAY
//	for c.Wants() && room() {
//		out = c.Append(out[:0], 64<<10)           // control frames first, then DATA in fair turns
//		send(out)
//	}
//	s.Head([]h2.Field{{Name: status, Value: ok}}, false)
//	s.Write(body, true)                           // copied; stop while s.Queued() is high, go on at ev.Room
//	c.Consumed(s, n)                              // n bytes of ev.Data were passed on: opens the windows
//
// Guarantees. What is malformed under RFC 9113 section 8 is never shown: its stream is reset with PROTOCOL_ERROR. Head,
// length and body agree: a body that is not as long as Content-Length says ends in Reset, never in an end. Nothing
// depends on the pieces in which bytes come (fuzzed). A body is shown as it comes and is never gathered; what is
// gathered is bounded: one frame of MaxFrame, one header block of HeaderList + 16 KiB, 16 KiB of answers that the peer
// provoked, and of data what the owner writes.
//
// Attacks. Rapid resets and resets that the peer provokes, CONTINUATION, control frames, tiny DATA and tiny
// windows run against budgets ([Floods]), and end the connection with ENHANCE_YOUR_CALM and a [Reason]. Honest work
// earns budget back. HPACK and cookie bombs meet the limits of the header list; [Events.TooLarge] lets the owner answer
// 431. What no core can bound is for the owner's timers: a peer that gives no window ([Stream.Blocked]), sends no
// more of a message, never acknowledges SETTINGS, or sends 1xx for ever.
//
// Memory. An idle connection that has served requests holds about 3 KiB (measured in a test; most of it the two HPACK tables,
// which its peer fills), 1 KiB before the first, if a [Pool] is shared. A stream that is reused allocates nothing, and
// neither does a request whose fields are in the tables.
//
// A *[Stream] dies with its last event (see [Events]), with [Stream.Reset] and with its connection, and is then
// used for another stream: forget it there.
//
// Not here: priorities (RFC 9113 section 5.3.2 has deprecated them), server push, the Upgrade from HTTP/1.1 (section
// 3.1 has removed it), ALPN, and the syntax of :authority and :path beyond what could not be forwarded.
package h2
