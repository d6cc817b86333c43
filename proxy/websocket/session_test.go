package websocket_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/sluiceproxy/sluice/proxy/websocket"
)

// wire is a session with both peers around it, and everything that each of them got.
type wire struct {
	s       *websocket.Session
	got     [2][]byte // by each peer
	sent    [2][]byte // by each peer
	ours    [2]int    // where in got our Close begins; -1: none came
	dropped [2]int    // bytes of each peer
}

func newWire() *wire { return &wire{s: websocket.NewSession(), ours: [2]int{-1, -1}} }

func closeFor(to websocket.Peer) []byte {
	if to == websocket.Server {
		return websocket.AppendClose(nil, websocket.GoingAway, "bye", &[4]byte{9, 8, 7, 6})
	}
	return websocket.AppendClose(nil, websocket.GoingAway, "bye", nil)
}

func (w *wire) from(p websocket.Peer, b []byte) {
	w.sent[p] = append(w.sent[p], b...)
	for len(b) > 0 {
		n, pass := w.s.Take(p, b)
		if pass {
			w.got[p.Other()] = append(w.got[p.Other()], b[:n]...)
		} else {
			w.dropped[p] += n
		}
		b = b[n:]
		w.tell()
	}
}

func (w *wire) tell() {
	for to, ok := w.s.Due(); ok; to, ok = w.s.Due() {
		w.ours[to] = len(w.got[to])
		w.got[to] = append(w.got[to], closeFor(to)...)
		w.s.Told(to)
	}
}

// check: each peer read whole frames, the last of them the only Close if it was told, and what
// came before is what the other one sent.
func (w *wire) check(t *testing.T) {
	t.Helper()
	for _, p := range []websocket.Peer{websocket.Client, websocket.Server} {
		b := w.got[p]
		frames, rest, bad := decode(b, p == websocket.Server)
		if bad || w.s.IsTold(p) && rest != 0 {
			t.Fatalf("peer %d got no frames: bad %v, %d bytes left over", p, bad, rest)
		}
		closes := 0
		for i, f := range frames {
			if f.op() == 8 {
				if closes++; i != len(frames)-1 {
					t.Fatalf("peer %d got something behind a Close", p)
				}
			}
		}
		if told := w.s.IsTold(p); told != (closes == 1) {
			t.Fatalf("peer %d got %d Close frames, told %v", p, closes, told)
		}
		if at := w.ours[p]; at >= 0 {
			b = b[:at]
		}
		if !bytes.HasPrefix(w.sent[p.Other()], b) {
			t.Fatalf("peer %d got what the other one did not send", p)
		}
	}
}

// TestGoodbyeInAnyMoment: whatever was under way when it began, both get one Close between two
// frames, the server everything that the client sent before its own, and both are over.
func TestGoodbyeInAnyMoment(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 5))
		w := newWire()
		in := [2][][]byte{
			pieces(r, talk(r, true, 3, false), 1<<r.IntN(17)),
			pieces(r, talk(r, false, 3, false), 1<<r.IntN(17)),
		}
		total := len(in[0]) + len(in[1])
		begin := r.IntN(total)
		for i := 0; len(in[0])+len(in[1]) > 0; i++ {
			if i == begin {
				w.s.Begin()
				w.tell()
			}
			p := r.IntN(2)
			if len(in[p]) == 0 {
				p = 1 - p
			}
			w.from(websocket.Peer(p), in[p][0])
			in[p] = in[p][1:]
			if i == begin+1 || r.IntN(total) < 10 { // it reads all from the start
				w.check(t)
			}
		}
		w.check(t)
		if !w.s.IsTold(websocket.Client) {
			t.Fatalf("seed %d: the client was not told", seed)
		}
		if w.dropped[websocket.Client] > 0 {
			t.Fatalf("seed %d: %d bytes of a client that had not answered were dropped", seed, w.dropped[0])
		}
		// The client answers; the server gets ours in place of that, and answers in its turn.
		w.from(websocket.Client, encode(nil, 0x88, []byte{3, 233}, &[4]byte{1, 1, 1, 1}))
		w.check(t)
		if w.ours[websocket.Server] != len(w.sent[websocket.Client])-8 || !w.s.Over(websocket.Client) || w.s.Over(websocket.Server) {
			t.Fatalf("seed %d: the server was told at %d of %d", seed, w.ours[1], len(w.sent[0]))
		}
		w.from(websocket.Server, encode(nil, 0x88, []byte{3, 233}, nil))
		w.check(t)
		if !w.s.Over(websocket.Server) || !w.s.Answered() {
			t.Fatalf("seed %d: it is not over", seed)
		}
	}
}

// TestNobodyIsWaitedForTooLong: once it is late the server is told although the client has not
// answered, at the end of the frame that is under way.
func TestNobodyIsWaitedForTooLong(t *testing.T) {
	w := newWire()
	message := encode(nil, 0x82, make([]byte, 300), &[4]byte{})
	w.from(websocket.Client, message[:100])
	w.s.Begin()
	w.tell()
	if w.ours[websocket.Client] != 0 || w.ours[websocket.Server] != -1 {
		t.Fatalf("told at %v, want the client at once and the server not yet", w.ours)
	}
	w.s.Late()
	w.tell()
	if w.ours[websocket.Server] != -1 {
		t.Fatal("a Close within a frame")
	}
	w.from(websocket.Client, append(message[100:], message...))
	w.check(t)
	if w.ours[websocket.Server] != len(message) || w.dropped[websocket.Client] != len(message) {
		t.Errorf("told at %v with %v dropped, want %d and the second message", w.ours, w.dropped, len(message))
	}
}

// TestPeersThatCloseAreLeftToIt: a handshake under way passes untouched, and only who waits for
// its end in vain gets ours.
func TestPeersThatCloseAreLeftToIt(t *testing.T) {
	theirs := encode(nil, 0x88, []byte{3, 232}, &[4]byte{5, 5, 5, 5})
	answer := encode(nil, 0x88, []byte{3, 232}, nil)

	w := newWire()
	w.from(websocket.Client, theirs)
	w.s.Begin()
	w.tell()
	w.from(websocket.Server, answer)
	if !bytes.Equal(w.got[websocket.Server], theirs) || !bytes.Equal(w.got[websocket.Client], answer) || !w.s.Answered() {
		t.Errorf("the peers got %x and %x", w.got[0], w.got[1])
	}
	w.check(t)

	w = newWire()
	w.from(websocket.Client, theirs)
	w.s.Begin()
	w.tell()
	if w.ours != [2]int{-1, -1} {
		t.Errorf("told at %v while they are closing", w.ours)
	}
	w.s.Late()
	w.tell()
	w.check(t)
	if w.ours != [2]int{0, -1} || !w.s.Over(websocket.Client) || w.s.Over(websocket.Server) {
		t.Errorf("told at %v, want the client that waits", w.ours)
	}
}

// TestCloseThatCrosses: the server says goodbye in the moment in which the client is told.
func TestCloseThatCrosses(t *testing.T) {
	w := newWire()
	w.s.Begin()
	w.tell()
	w.from(websocket.Server, encode(nil, 0x88, []byte{3, 232}, nil))
	w.check(t)
	if w.ours != [2]int{0, 0} || !w.s.Over(websocket.Server) || w.s.Over(websocket.Client) {
		t.Errorf("told at %v", w.ours)
	}
}

// TestEndsWithoutClose: who sends FIN in place of a Close is not waited for, and who got one
// cannot be told.
func TestEndsWithoutClose(t *testing.T) {
	w := newWire()
	w.s.Begin()
	w.tell()
	w.s.Ended(websocket.Client)
	w.tell()
	w.check(t)
	if !w.s.BothTold() || !w.s.Over(websocket.Client) || w.s.Over(websocket.Server) {
		t.Errorf("told at %v", w.ours)
	}
	w = newWire()
	w.s.Ended(websocket.Client)
	w.s.Hung(websocket.Server)
	w.s.Begin()
	w.s.Late()
	w.tell()
	if w.ours != [2]int{0, -1} {
		t.Errorf("told at %v, and the server had FIN", w.ours)
	}
}

// TestNoFrames: what cannot be followed is passed on, and never told.
func TestNoFrames(t *testing.T) {
	w := newWire()
	raw := []byte("\xff\xff this is something else, however long it may be")
	w.from(websocket.Client, raw)
	w.s.Begin()
	w.s.Late()
	w.tell()
	w.from(websocket.Client, raw)
	if !w.s.Lost() || w.ours[websocket.Server] != -1 || len(w.got[websocket.Server]) != 2*len(raw) {
		t.Errorf("lost %v, told at %v, %d bytes passed on", w.s.Lost(), w.ours, len(w.got[1]))
	}
}

// TestCarelessIsNoticed: the check above can fail.
func TestCarelessIsNoticed(t *testing.T) {
	w := newWire()
	w.s.Careless = true
	w.from(websocket.Server, encode(nil, 0x82, make([]byte, 300), nil)[:100])
	w.s.Begin()
	w.tell()
	w.from(websocket.Server, make([]byte, 203))
	frames, rest, bad := decode(w.got[websocket.Client], false)
	if len(frames) != 0 && rest == 0 && !bad {
		t.Error("a Close within a frame looks like one between two")
	}
}

// TestSkipPastTheEnd: the owner that counts wrong is told at once.
func TestSkipPastTheEnd(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	websocket.NewSession().Skip(websocket.Client, 1)
}
