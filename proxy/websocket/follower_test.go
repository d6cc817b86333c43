package websocket_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/sluiceproxy/sluice/proxy/websocket"
)

// seen is what a follower makes of a stream.
type seen struct {
	ends                   []int
	boundary, closed, lost bool
}

// follow feeds b in pieces.
func follow(b []byte, masked bool, in [][]byte) (s seen) {
	f := websocket.Follower{Masked: masked}
	at := 0
	for _, p := range in {
		for len(p) > 0 {
			if left := f.Remaining(); left > 0 && uint64(len(p)) >= left && at%3 == 0 { // as if the driver had carried it
				at, p = at+int(left), p[left:]
				if !f.Skip(left) {
					panic("a frame does not end with its last byte")
				}
				s.ends = append(s.ends, at)
				continue
			}
			n, end := f.Next(p)
			if n == 0 {
				panic("nothing was consumed")
			}
			at, p = at+n, p[n:]
			if end {
				s.ends = append(s.ends, at)
			}
		}
	}
	s.boundary, s.closed, s.lost = f.Boundary(), f.Closed(), f.Lost()
	return s
}

// expect is what it should make of it.
func expect(b []byte, masked bool) (s seen) {
	frames, rest, bad := decode(b, masked)
	for _, f := range frames {
		s.ends = append(s.ends, f.end)
		s.closed = s.closed || f.op() == 8
	}
	s.lost = bad
	s.boundary = !bad && rest == 0
	return s
}

func (s seen) equal(o seen) bool {
	return s.boundary == o.boundary && s.closed == o.closed && s.lost == o.lost && len(s.ends) == len(o.ends) && func() bool {
		for i := range s.ends {
			if s.ends[i] != o.ends[i] {
				return false
			}
		}
		return true
	}()
}

// FuzzFollower: where frames end, and whether they are any, is what the reference says, however
// the stream is cut into pieces.
func FuzzFollower(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 20 {
		f.Add(talk(r, i%2 == 0, i%4, i%3 == 0), i%2 == 0, uint64(i))
	}
	f.Add([]byte{0x81, 0x7e, 0, 5}, false, uint64(0))                                         // a length in more bytes than it needs
	f.Add([]byte{0x81, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0}, false, uint64(0))                    // the highest bit of a length
	f.Add([]byte{0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4, 0}, true, uint64(3))         // the shortest that needs eight
	f.Add([]byte{0x08, 0x02, 3, 232}, false, uint64(0))                                       // a Close in fragments
	f.Add([]byte{0x88, 0x02, 3, 232, 0x81, 0x00}, false, uint64(0))                           // something behind a Close
	f.Add([]byte{0x01, 0x01, 'a', 0x89, 0x00, 0x81, 0x01, 'b'}, false, uint64(0))             // a message within a message
	f.Add([]byte{0x01, 0x01, 'a', 0x89, 0x00, 0x80, 0x01, 'b', 0x80, 0x00}, false, uint64(0)) // a continuation of nothing
	f.Fuzz(func(t *testing.T, b []byte, masked bool, seed uint64) {
		want := expect(b, masked)
		r := rand.New(rand.NewPCG(seed, 2))
		for _, in := range [][][]byte{{b}, pieces(r, b, 1), pieces(r, b, 7), pieces(r, b, 70_000)} {
			if got := follow(b, masked, in); !got.equal(want) {
				t.Fatalf("in %d pieces: %+v, want %+v, of %x", len(in), got, want, b[:min(len(b), 80)])
			}
		}
	})
}

// TestFollowerReadsWhatPeersWrite: real talk is never taken for anything else.
func TestFollowerReadsWhatPeersWrite(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 100 {
		masked := i%2 == 0
		b := talk(r, masked, 1+i%5, i%3 == 0)
		got := follow(b, masked, pieces(r, b, 5000))
		if got.lost || !got.boundary || got.closed != (i%3 == 0) || !got.equal(expect(b, masked)) {
			t.Fatalf("stream %d: %+v", i, got)
		}
	}
}

// TestAppendClose: the frame is what the reference reads, masked or not, and of control size.
func TestAppendClose(t *testing.T) {
	long := string(bytes.Repeat([]byte("r"), 200))
	key := [4]byte{1, 2, 3, 0xff}
	for _, reason := range []string{"", "this proxy stops; retry-after=3", long} {
		for _, mask := range []*[4]byte{nil, &key} {
			b := websocket.AppendClose([]byte("x"), websocket.ServiceRestart, reason, mask)[1:]
			frames, rest, bad := decode(b, mask != nil)
			if len(frames) != 1 || rest != 0 || bad || frames[0].first != 0x88 {
				t.Fatalf("%x: %+v, %d left, bad %v", b, frames, rest, bad)
			}
			if want := "\x03\xf4" + reason[:min(len(reason), 123)]; string(frames[0].payload) != want {
				t.Errorf("says %q, want %q", frames[0].payload, want)
			}
		}
	}
}
