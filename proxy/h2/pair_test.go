package h2

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// Both halves talk to each other through random chunks, windows and resets, against a model that knows what each stream
// must carry. A failing seed is a subtest that can be run alone.

type side struct {
	t    *testing.T
	w    *pairWorld
	c    *Conn
	name string
	live map[uint32]*half // of open streams
	wire []byte           // to the other side
}

// half is one side's view of one stream.
type half struct {
	s        *Stream
	id       uint32
	toSend   int // bytes of body; what they are follows from the stream and the position
	sent     int
	ended    bool
	trailers bool
	got      int
	gotEnd   bool
	early    bool // the server answers before it has read all
	unread   int
}

type pairWorld struct {
	rng            *rand.Rand
	client, server *side
	plans          map[uint32]*plan
	done, resets   int
	resetsPlanned  bool
	expectTrailers map[uint32]bool
}

// plan is what a stream must carry each way.
type plan struct{ up, down int }

func pattern(id uint32, up bool, at int) byte {
	x := uint32(at)*2654435761 + id*40503
	if up {
		x += 77
	}
	return byte(x >> 16)
}

func (w *pairWorld) body(id uint32, up bool, at, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = pattern(id, up, at+i)
	}
	return b
}

func (v *side) Head(s *Stream, fields []Field, end bool) {
	h := v.live[s.ID()]
	if v == v.w.server {
		p := v.w.plans[s.ID()]
		if s.Length() >= 0 && s.Length() != int64(p.up) {
			v.t.Fatalf("length %d, want %d", s.Length(), p.up)
		}
		h = &half{s: s, id: s.ID(), toSend: p.down, trailers: v.w.rng.IntN(2) == 0}
		v.live[s.ID()] = h
		s.Owner = h
		if v.w.rng.IntN(3) == 0 {
			s.Interim(fieldsOf(":status=103"))
		}
		head := []Field{field(":status", "200"), field("x", fmt.Sprint(s.ID()%7))}
		if v.w.rng.IntN(2) == 0 {
			head = append(head, field("content-length", fmt.Sprint(h.toSend)))
		}
		s.Head(head, false)
		if v.w.rng.IntN(4) == 0 {
			h.early = true
			s.Discard()
		}
	}
	v.gotData(h, nil, end)
}

func (v *side) gotData(h *half, b []byte, end bool) {
	up := v == v.w.server
	if h == nil || h.gotEnd {
		v.t.Fatalf("%s: data for a stream that has none", v.name)
	}
	for i, x := range b {
		if want := pattern(h.id, up, h.got+i); x != want {
			v.t.Fatalf("%s: stream %d at %d: byte %d, want %d", v.name, h.id, h.got+i, x, want)
		}
	}
	h.got += len(b)
	h.unread += len(b)
	h.gotEnd = end
	if want := v.w.plans[h.id]; end && up && h.got != want.up || end && !up && h.got != want.down {
		v.t.Fatalf("%s: stream %d has %d bytes of %+v", v.name, h.id, h.got, want)
	}
}

func (v *side) Data(s *Stream, b []byte, end bool) { v.gotData(v.live[s.ID()], b, end) }
func (v *side) Trailers(s *Stream, fields []Field) {
	if len(fields) != 1 || string(fields[0].Value) != fmt.Sprint(s.ID()) {
		v.t.Fatalf("trailers %s", show(fields))
	}
	v.gotData(v.live[s.ID()], nil, true)
}
func (v *side) Interim(*Stream, []Field) {}
func (v *side) TooLarge(*Stream)         { v.t.Fatal("too large") }
func (v *side) Reset(s *Stream, why Cause) {
	h := v.live[s.ID()]
	if why.Local {
		v.t.Fatalf("%s: stream %d: %v", v.name, s.ID(), why)
	}
	if why.Code == NoError && !(h.gotEnd && v == v.w.client) {
		v.t.Fatalf("%s: stream %d: NO_ERROR before the answer was whole", v.name, s.ID())
	}
	delete(v.live, s.ID())
	v.w.resets++
}
func (v *side) Done(s *Stream) {
	h := v.live[s.ID()]
	if !h.gotEnd && !h.early || !h.ended || s.Queued() != 0 {
		v.t.Fatalf("%s: stream %d is done: %+v", v.name, s.ID(), *h)
	}
	delete(v.live, s.ID())
	v.w.done++
}
func (v *side) Room(s *Stream)                   { v.write(v.live[s.ID()]) }
func (v *side) Refused(id uint32, why Reason)    { v.t.Fatalf("%s: refused %d: %s", v.name, id, why) }
func (v *side) Settings()                        {}
func (v *side) GoAway(uint32, ErrorCode, []byte) {}
func (v *side) NoticeAcked()                     {}
func (v *side) Pong()                            {}

// write sends a piece of what h has left, and ends it behind the last.
func (v *side) write(h *half) {
	if h == nil || h.ended {
		return
	}
	n := min(v.w.rng.IntN(30_000), h.toSend-h.sent)
	if v.w.rng.IntN(4) == 0 {
		n = min(n, 5)
	}
	b := v.w.body(h.id, v == v.w.client, h.sent, n)
	h.sent += n
	last := h.sent == h.toSend
	h.ended = last
	h.s.Write(b, last && !h.trailers)
	if last && h.trailers {
		h.s.Trailers([]Field{field("a", fmt.Sprint(h.id))})
	}
}

func (v *side) consume(h *half, all bool) {
	n := h.unread
	if !all && n > 0 {
		n = v.w.rng.IntN(n) + 1
	}
	if n > 0 && !h.early {
		h.unread -= n
		v.c.Consumed(h.s, n)
	}
}

// pass moves some bytes to the other side.
func (v *side) pass(to *side, size, piece int, now time.Duration) {
	if v.c.Wants() {
		v.wire = v.c.Append(v.wire, size)
	}
	for len(v.wire) > 0 {
		n := min(piece, len(v.wire))
		if err := to.c.Receive(v.wire[:n], now); err != nil {
			v.t.Fatalf("%s: %v", to.name, err)
		}
		v.wire = v.wire[n:]
		if v.w.rng.IntN(3) == 0 {
			return
		}
	}
}

func (w *pairWorld) open() {
	p := &plan{up: w.size(), down: w.size()}
	c := w.client
	w.plans[c.c.nextLocal] = p
	id := c.c.nextLocal
	fields := fieldsOf(":method=POST", ":scheme=http", ":authority=x", fmt.Sprintf(":path=/%d", id%5))
	if w.rng.IntN(2) == 0 {
		fields = append(fields, field("content-length", fmt.Sprint(p.up)))
	}
	s, err := c.c.Open(fields, false)
	if err == ErrFull {
		return
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.live[id] = &half{s: s, id: id, toSend: p.up, trailers: w.rng.IntN(2) == 0}
}

func (w *pairWorld) size() int {
	switch w.rng.IntN(4) {
	case 0:
		return 0
	case 1:
		return w.rng.IntN(100)
	case 2:
		return w.rng.IntN(20_000)
	}
	return w.rng.IntN(300_000)
}

// any returns a random live half; map order is not random enough to replay, so it goes by ID.
func (v *side) any() *half {
	if len(v.c.open) == 0 {
		return nil
	}
	return v.live[v.c.open[v.w.rng.IntN(len(v.c.open))].ID()]
}

func runPair(t *testing.T, seed uint64, steps int) (done, resets int) {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := &pairWorld{rng: rng, plans: map[uint32]*plan{}}
	windows := []int{1, 100, 5000, 70_000, 300_000}
	config := func() Config {
		return Config{MaxStreams: uint32(1 + rng.IntN(20)), StreamWindow: windows[rng.IntN(5)], ConnWindow: windows[rng.IntN(5)],
			Floods: Floods{Control: Budget{Burst: -1}, Resets: Budget{Burst: -1}, Dribble: Budget{Burst: -1}}}
	}
	mk := func(name string, cfg Config) *side {
		v := &side{t: t, w: w, name: name, live: map[uint32]*half{}}
		v.c = New(cfg, v)
		return v
	}
	ccfg := config()
	ccfg.Client = true
	w.client, w.server = mk("client", ccfg), mk("server", config())
	both := []*side{w.client, w.server}
	// The client learns the limits first: what it opens before would be refused, which is not the point here.
	for w.server.c.Wants() || w.client.c.Wants() {
		w.client.pass(w.server, 1<<20, 1<<20, 0)
		w.server.pass(w.client, 1<<20, 1<<20, 0)
	}
	for i := range steps {
		now := time.Duration(i) * time.Millisecond
		v := both[rng.IntN(2)]
		switch k := rng.IntN(100); {
		case k < 10:
			w.open()
		case k < 35:
			if h := v.any(); h != nil && h.s.Queued() < 100_000 {
				v.write(h)
			}
		case k < 50:
			if h := v.any(); h != nil {
				v.consume(h, false)
			}
		case k < 52:
			if h := v.any(); h != nil && seed%3 == 0 {
				h.s.Reset(Cancel)
				delete(v.live, h.id)
			}
		default:
			w.client.pass(w.server, 1+rng.IntN(40_000), 1+rng.IntN(5000), now)
			w.server.pass(w.client, 1+rng.IntN(40_000), 1+rng.IntN(5000), now)
		}
	}
	w.finish(t, both)
	return w.done, w.resets
}

// finish lets everything end: all is written, passed and consumed. Whatever is open then is stuck.
func (w *pairWorld) finish(t *testing.T, both []*side) {
	for range 3_000_000 {
		busy := false
		for _, v := range both {
			for i := len(v.c.open) - 1; i >= 0; i-- {
				h := v.live[v.c.open[i].ID()]
				if h.s.Queued() < 100_000 {
					v.write(h)
				}
				v.consume(h, true)
			}
			busy = busy || len(v.wire) > 0 || v.c.Wants()
		}
		w.client.pass(w.server, 1<<20, 1<<20, 0)
		w.server.pass(w.client, 1<<20, 1<<20, 0)
		if !busy && len(w.client.c.open)+len(w.server.c.open) == 0 {
			break
		}
		if !busy {
			break
		}
	}
	for _, v := range both {
		if n := v.c.Streams(); n != 0 || len(v.live) != 0 {
			s := v.c.open[0]
			t.Fatalf("%s: %d streams are stuck: %+v, connection window %d", v.name, n, *s, v.c.send)
		}
		if c := v.c; c.recv+c.recvBack != int32(c.cfg.ConnWindow) {
			t.Errorf("%s: %d of the window are lost", v.name, int32(c.cfg.ConnWindow)-c.recv-c.recvBack)
		}
	}
	if w.client.c.send != w.server.c.recv || w.server.c.send != w.client.c.recv {
		t.Errorf("the sides disagree on the windows: %d and %d, %d and %d", w.client.c.send, w.server.c.recv, w.server.c.send, w.client.c.recv)
	}
}

func TestPairs(t *testing.T) {
	seeds, done, resets := uint64(60), 0, 0
	if testing.Short() {
		seeds = 15
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			d, r := runPair(t, seed, 2000)
			done, resets = done+d, resets+r
		})
	}
	if uint64(done) < 10*seeds || uint64(resets) < seeds/2 {
		t.Errorf("only %d halves of streams were done and %d reset: the test looks at too little", done, resets)
	}
}
