package websocket

// Peer is one of the two that talk.
type Peer uint8

// The peers.
const (
	Client Peer = iota // its frames are masked
	Server
)

// Other is the opposite one.
func (p Peer) Other() Peer { return p ^ 1 }

// Session is a WebSocket between two peers, from behind the 101. Make it with NewSession. It is
// for one owner.
//
// Goodbye has an order that loses least: the client is told first, and what it still sends goes
// to the server until its own Close, in whose place the server gets ours. So everything that a
// client sent before it knew is delivered. What the server sent meanwhile cannot be: behind a
// Close a client takes nothing (section 5.5.1).
type Session struct {
	from  [2]Follower // what comes from each peer
	told  [2]bool     // a Close went to that peer: ours, or the other one's
	said  [2]bool     // it sent its Close, or it will send nothing any more
	shut  [2]bool     // what comes from it goes no further, because the other one got our Close
	hung  [2]bool     // FIN was sent to that peer: nothing else can be
	begun bool        // Begin was called
	all   bool        // whoever is not told is to be told at the next boundary

	// Careless is a test seam: a Close is sent wherever the direction stands. Never set it in a
	// product.
	Careless bool
}

// NewSession is one of which nothing came yet.
func NewSession() *Session {
	s := &Session{}
	s.from[Client].Masked = true
	return s
}

// Take consumes the front of what came from a peer: all of it or, once Begin was called, up to
// the end of a frame. pass is whether b[:n] is to be forwarded; otherwise it is to be dropped.
// After each call Due may have something.
func (s *Session) Take(from Peer, b []byte) (n int, pass bool) {
	f, to := &s.from[from], from.Other()
	pass = !s.shut[from]
	if pass && s.answers(from, b) {
		s.shut[from], pass = true, false // ours goes in its place: Due
		s.all = true
	}
	for n < len(b) {
		k, end := f.Next(b[n:])
		n += k
		if end && s.begun {
			break
		}
	}
	if f.Closed() && !s.said[from] {
		s.said[from] = true
		s.told[to] = s.told[to] || pass
		s.all = s.all || s.shut[from] // it waits for an answer
	}
	return n, pass
}

// answers reports whether a peer that got a Close of ours begins its own with the first byte of
// b, and the other one has got none.
func (s *Session) answers(from Peer, b []byte) bool {
	return s.shut[from.Other()] && !s.told[from.Other()] && s.from[from].Boundary() && b[0]&0xf == opClose
}

// Skip says that n bytes of the payload of the frame that comes from a peer were forwarded
// unseen.
func (s *Session) Skip(from Peer, n uint64) {
	s.from[from].Skip(n)
}

// Remaining is how many bytes of the frame that comes from a peer may be forwarded unseen.
func (s *Session) Remaining(from Peer) uint64 {
	if s.shut[from] {
		return 0
	}
	return s.from[from].Remaining()
}

// Begin says that it is time to leave. Where the peers are closing already, they are left to it
// until Late.
func (s *Session) Begin() { s.begun = true }

// Begun reports whether Begin was called.
func (s *Session) Begun() bool { return s.begun }

// Late says that nobody is waited for any more: whoever is not told is told at the next boundary.
func (s *Session) Late() { s.all = true }

// Due is a peer that is to get a Close now. Call Told when that was sent, and ask again.
func (s *Session) Due() (to Peer, ok bool) {
	if !s.begun {
		return 0, false
	}
	for _, to := range [...]Peer{Client, Server} {
		first := to == Client && !s.said[Client] && !s.said[Server]
		if !s.told[to] && !s.hung[to] && (first || s.all) && s.fits(to) {
			return to, true
		}
	}
	return 0, false
}

// fits reports whether a frame of ours may be sent to a peer now.
func (s *Session) fits(to Peer) bool {
	f := &s.from[to.Other()]
	return f.Boundary() || s.shut[to.Other()] || s.Careless
}

// Told says that our Close was sent to a peer: nothing follows it.
func (s *Session) Told(to Peer) {
	if s.told[to] {
		panic("BUG: websocket: a second Close to one peer")
	}
	s.told[to], s.shut[to.Other()] = true, true
	s.all = s.all || s.said[Client] || s.said[Server]
}

// Ended says that a peer will send nothing any more: it is not waited for.
func (s *Session) Ended(p Peer) {
	s.said[p] = true
	if s.begun {
		s.all = true
	}
}

// Hung says that FIN was sent to a peer: it cannot be told any more.
func (s *Session) Hung(to Peer) { s.hung[to] = true }

// Lost reports whether a direction cannot be followed. Then the session is a tunnel like others.
func (s *Session) Lost() bool { return s.from[Client].Lost() || s.from[Server].Lost() }

// BothTold reports whether each peer got a Close.
func (s *Session) BothTold() bool { return s.told[Client] && s.told[Server] }

// IsTold reports whether a Close went to a peer.
func (s *Session) IsTold(p Peer) bool { return s.told[p] }

// Answered reports whether each peer sent a Close of its own.
func (s *Session) Answered() bool { return s.from[Client].Closed() && s.from[Server].Closed() }

// Over reports whether a peer was told and has said its own Close, or will say nothing.
func (s *Session) Over(p Peer) bool { return s.told[p] && s.said[p] }
