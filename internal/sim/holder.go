package sim

import "slices"

// Holder is a descriptor of a listening socket that several processes may hold: they share
// its queue, and it is closed when the last of them closes. A filter is the socket's, not
// the holder's.
type Holder struct {
	s      *held
	accept func(*Sock) // nil: this one does not accept
	closed bool
}

// held is the socket behind holders.
type held struct {
	ln      *Listener
	holders []*Holder
}

// Hold binds an address.
func (n *Net) Hold(addr string) *Holder {
	h := &Holder{s: &held{ln: n.Listen(addr)}}
	h.s.holders = []*Holder{h}
	return h
}

// Dup is another descriptor, for this process or another.
func (h *Holder) Dup() *Holder {
	if h.closed {
		panic("BUG: sim: a duplicate of a closed descriptor")
	}
	d := &Holder{s: h.s}
	h.s.holders = append(h.s.holders, d)
	return d
}

// Accept begins to take connections from the shared queue; the kernel gives each to one of
// those who ask, nobody knows to whom.
func (h *Holder) Accept(f func(*Sock)) {
	h.accept = f
	h.s.wake()
}

// Leave stops accepting; the descriptor stays.
func (h *Holder) Leave() {
	h.accept = nil
	h.s.wake()
}

// Close gives the descriptor up. The last one closes the socket and resets what is queued.
func (h *Holder) Close() (residue int) {
	if h.closed {
		return 0
	}
	h.closed, h.accept = true, nil
	h.s.holders = slices.DeleteFunc(h.s.holders, func(o *Holder) bool { return o == h })
	if len(h.s.holders) == 0 {
		return h.s.ln.Close()
	}
	h.s.wake()
	return 0
}

// Shed drops new SYNs, for everybody who holds the socket.
func (h *Holder) Shed() { h.s.ln.Shed() }

// Unshed undoes Shed.
func (h *Holder) Unshed() { h.s.ln.Unshed() }

// Deaf reports whether SYNs are dropped.
func (h *Holder) Deaf() bool { return h.s.ln.shed }

// Queued is the length of the shared queue.
func (h *Holder) Queued() int { return h.s.ln.Queued() }

// Holders is how many hold the socket.
func (h *Holder) Holders() int { return len(h.s.holders) }

// wake looks whether anybody accepts.
func (s *held) wake() {
	if !slices.ContainsFunc(s.holders, func(h *Holder) bool { return h.accept != nil }) {
		s.ln.accept = nil
		return
	}
	s.ln.Accept(s.give)
}

// give hands a connection to one of those who accept now.
func (s *held) give(sock *Sock) {
	var who []*Holder
	for _, h := range s.holders {
		if h.accept != nil {
			who = append(who, h)
		}
	}
	who[s.ln.n.Rand.IntN(len(who))].accept(sock)
}
