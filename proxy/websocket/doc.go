// Package websocket follows the frames of a WebSocket (RFC 6455) that passes through a tunnel,
// and says goodbye on it. It has no socket, clock or goroutine. It never looks at a payload.
//
//	var s websocket.Session
//	n, pass := s.Take(websocket.Client, b)     // b[:n] came from the client: forward it, or drop it
//	s.Begin()                                  // it is time to leave
//	for to, ok := s.Due(); ok; to, ok = s.Due() {
//		send(to, websocket.AppendClose(nil, websocket.GoingAway, "retry-after=2", maskFor(to)))
//		s.Told(to)
//	}
//	s.Over(websocket.Client)                   // told, and it said its own Close: close the connection
//
// Guarantees: a Close of ours stands between two frames and never within one; a peer is told
// once, by us or by the other peer; behind a Close nothing is sent to that peer. How the bytes
// are cut into pieces changes none of that. Bytes that are no frames by RFC 6455 section 5 are
// passed on as they are, and such a direction gets no Close of ours.
//
// Limits: reserved bits and data opcodes are let pass, since extensions give them a meaning
// (section 5.8). Whether text is UTF-8, and what a Close says, is the peers' affair.
package websocket
