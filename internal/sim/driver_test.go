package sim

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/enginetest"
)

// dice is a handler that does anything it may at random, and writes down what happens.
type dice struct {
	n   *Net
	sh  engine.Shard
	d   func() *Driver
	ids []engine.ConnID // ever seen: dead ones are used too
	fin map[engine.ConnID]bool
	up  map[engine.ConnID]bool // may be sent on
	// fed maps the destination of a Move to its source: nothing else may be sent there.
	fed map[engine.ConnID]engine.ConnID
	log func(format string, args ...any)
}

func (h *dice) note(what string, id engine.ConnID, args ...any) {
	h.log("%v %d %s %x %v\n", h.n.Now().Sub(Epoch), h.sh.Index(), what, uint64(id), args)
	h.act()
}

// act throws the dice for one of all connections, dead or alive.
func (h *dice) act() {
	if len(h.ids) == 0 || h.n.Chance(0.3) {
		return
	}
	id := h.ids[h.n.Rand.IntN(len(h.ids))]
	over := h.fin[id] || h.fed[id] != 0
	switch p := h.n.Rand.IntN(100); {
	case p < 6:
		src := h.ids[h.n.Rand.IntN(len(h.ids))]
		if n := int64(h.n.Rand.IntN(30_000)); h.sh.Move(id, src, n-1) {
			h.fed[id] = src
		}
	case p < 40:
		if h.up[id] && !over {
			h.sh.Send(id, random(uint64(p), 1+h.n.Rand.IntN(5000)))
		}
	case p < 48:
		h.sh.Pause(id)
	case p < 64:
		h.sh.Resume(id)
	case p < 74:
		h.sh.Arm(id, engine.Timer(h.n.Rand.IntN(int(engine.NumTimers))), h.n.Between(0, 20*time.Millisecond))
	case p < 82:
		h.sh.Ask(id, func() any { return p })
	case p < 86:
		if h.up[id] && h.fed[id] == 0 {
			h.fin[id] = true
			h.sh.CloseWrite(id)
		}
	case p < 89:
		h.fin[id] = true
		h.unfeed(id)
		h.sh.Close(id, h.n.Between(0, 50*time.Millisecond))
	case p < 91:
		h.fin[id] = true
		h.unfeed(id)
		h.sh.Abort(id)
	case p < 95:
		h.d().Post(h.n.Rand.IntN(2), "post")
	default:
		if len(h.ids) < 40 {
			addr := "origin:1"
			if h.n.Chance(0.3) {
				addr = "nobody:1"
			}
			h.ids = append(h.ids, h.sh.Dial(addr, h.n.Between(time.Millisecond, 20*time.Millisecond)))
		}
	}
}

func (h *dice) Accepted(id engine.ConnID, listener int, _ engine.Peer) {
	h.ids, h.up[id] = append(h.ids, id), true
	h.note("accepted", id, listener)
}
func (h *dice) Dialed(id engine.ConnID, err error) {
	h.up[id] = err == nil
	h.note("dialed", id, err)
}
func (h *dice) Received(id engine.ConnID, b []byte) { h.note("received", id, len(b), b[0]) }
func (h *dice) EOF(id engine.ConnID)                { h.note("eof", id) }
func (h *dice) Sent(id engine.ConnID)               { h.note("sent", id) }
func (h *dice) Moved(dst, src engine.ConnID, n int64, done bool) {
	if done {
		delete(h.fed, dst)
	}
	h.note("moved", dst, src, n, done)
}
func (h *dice) Closed(id engine.ConnID, end engine.End) {
	h.up[id] = false
	h.unfeed(id)
	h.note("closed", id, end)
}

// unfeed: a connection ends, and with it the Moves that it is part of.
func (h *dice) unfeed(id engine.ConnID) {
	delete(h.fed, id)
	for dst, src := range h.fed {
		if src == id {
			delete(h.fed, dst)
		}
	}
}

func (h *dice) Fired(id engine.ConnID, t engine.Timer) { h.note("fired", id, t) }
func (h *dice) Answer(id engine.ConnID, v any)         { h.note("answer", id, v) }
func (h *dice) Notice(v any)                           { h.note("notice", 0, v) }

// talker is a scripted peer that writes, pauses and ends at random.
func talker(n *Net, s *Sock) {
	switch p := n.Rand.IntN(100); {
	case p < 60:
		s.Write(random(uint64(p), 1+n.Rand.IntN(20_000)))
	case p < 70:
		s.Pause()
	case p < 85:
		s.Resume()
	case p < 93:
		s.CloseWrite()
	case p < 97:
		s.Close()
		return
	default:
		s.Abort()
		return
	}
	n.After(n.Between(0, 10*time.Millisecond), func() { talker(n, s) })
}

// history plays one seed and returns the hash of all that happened, and how often what.
func history(t *testing.T, seed uint64) (sum uint64, seen map[string]int) {
	t.Helper()
	n := New(seed)
	h := fnv.New64a()
	seen = map[string]int{}
	ref := enginetest.Referee{Fault: func(format string, args ...any) {
		t.Errorf("seed %d at %v: %s", seed, n.Now().Sub(Epoch), fmt.Sprintf(format, args...))
	}}
	var d *Driver
	d = n.NewDriver(2, ref.Watch(func(sh engine.Shard) engine.Handler {
		return &dice{n: n, sh: sh, d: func() *Driver { return d }, fin: map[engine.ConnID]bool{}, up: map[engine.ConnID]bool{}, fed: map[engine.ConnID]engine.ConnID{},
			log: func(format string, args ...any) {
				fmt.Fprintf(h, format, args...)
				seen[args[2].(string)]++
			}}
	}))
	ln, origin := n.Listen("proxy:1"), n.Listen("origin:1")
	d.Accept(7, ln)
	origin.Accept(func(s *Sock) { talker(n, s) })
	for range 10 {
		n.After(n.Between(0, 50*time.Millisecond), func() {
			var s *Sock
			s = n.Dial("proxy:1", Events{Connected: func(err error) {
				if err == nil {
					talker(n, s)
				}
			}})
		})
	}
	n.Run(500*time.Millisecond, never)
	d.Close()
	n.Run(time.Minute, func() bool { return d.Conns() == 0 })
	ref.Final()
	return h.Sum64(), seen
}

// The simulated driver obeys the rules that the real ones do, whatever a handler does.
func TestDriverKeepsTheContract(t *testing.T) {
	total := map[string]int{}
	for seed := range uint64(300) {
		_, seen := history(t, seed)
		for k, v := range seen {
			total[k] += v
		}
		if t.Failed() {
			t.FailNow() // the first seed says enough
		}
	}
	for _, what := range []string{"accepted", "dialed", "received", "eof", "sent", "moved", "closed", "fired", "answer", "notice"} {
		if total[what] < 100 {
			t.Errorf("%s happened %d times: the test shows little", what, total[what])
		}
	}
}

func TestSameSeedSameHistory(t *testing.T) {
	var sums []uint64
	for seed := range uint64(20) {
		first, _ := history(t, seed)
		second, _ := history(t, seed)
		if first != second {
			t.Fatalf("seed %d has two histories", seed)
		}
		sums = append(sums, first)
	}
	slices.Sort(sums)
	if n := len(slices.Compact(sums)); n != 20 {
		t.Errorf("20 seeds have %d histories", n)
	}
}

// recorder is a handler that keeps the ends of connections.
type recorder struct {
	dice
	ends []engine.End
	got  []byte
}

func (r *recorder) Accepted(id engine.ConnID, _ int, _ engine.Peer) { r.ids = append(r.ids, id) }
func (r *recorder) Received(_ engine.ConnID, b []byte)              { r.got = append(r.got, b...) }
func (r *recorder) EOF(engine.ConnID)                               {}
func (r *recorder) Sent(engine.ConnID)                              {}
func (r *recorder) Closed(_ engine.ConnID, end engine.End)          { r.ends = append(r.ends, end) }
func (r *recorder) Notice(v any)                                    { v.(func(engine.Shard))(r.sh) }

// serve runs a driver with one accepted connection.
func serve(t *testing.T, seed uint64) (*Net, *Driver, *recorder, *peer) {
	t.Helper()
	n, rec := New(seed), &recorder{}
	ref := enginetest.Referee{Fault: t.Errorf}
	d := n.NewDriver(1, ref.Watch(func(sh engine.Shard) engine.Handler { rec.sh = sh; return rec }))
	d.Accept(0, n.Listen("proxy:1"))
	p := &peer{t: t}
	p.Sock = n.Dial("proxy:1", p.events())
	if !n.Run(time.Minute, func() bool { return len(rec.ids) == 1 }) {
		t.Fatal("not accepted")
	}
	return n, d, rec, p
}

func TestCloseFlushesAndDiscards(t *testing.T) {
	for seed := range uint64(50) {
		n, d, rec, p := serve(t, seed)
		big, late := random(seed, 300_000), random(seed+1, 5000)
		d.Post(0, func(sh engine.Shard) { sh.Send(rec.ids[0], big); sh.Close(rec.ids[0], time.Minute) })
		n.Run(time.Hour, func() bool { return p.eof })
		p.Write(late)
		p.CloseWrite()
		n.Run(time.Hour, func() bool { return len(rec.ends) == 1 })
		if !slices.Equal(p.got, big) {
			t.Fatalf("seed %d: %d of %d bytes were flushed", seed, len(p.got), len(big))
		}
		if want := (engine.End{Discarded: int64(len(late))}); len(rec.ends) != 1 || rec.ends[0] != want {
			t.Fatalf("seed %d: ends %+v, want %+v", seed, rec.ends, want)
		}
	}
}

func TestAbortAndResetEnd(t *testing.T) {
	for seed := range uint64(50) {
		n, d, rec, p := serve(t, seed)
		d.Post(0, func(sh engine.Shard) { sh.Abort(rec.ids[0]) })
		n.Run(time.Minute, func() bool { return p.reset && len(rec.ends) == 1 })
		if !p.reset || len(rec.ends) != 1 || !errors.Is(rec.ends[0].Err, ErrReset) {
			t.Fatalf("seed %d: abort: reset %v, ends %+v", seed, p.reset, rec.ends)
		}
		n, _, rec, p = serve(t, seed)
		p.Abort()
		n.Run(time.Minute, func() bool { return len(rec.ends) == 1 })
		if len(rec.ends) != 1 || !errors.Is(rec.ends[0].Err, ErrReset) {
			t.Fatalf("seed %d: reset: ends %+v", seed, rec.ends)
		}
	}
}

// Dialers come while the listener goes: nobody is reset, and every connection had its
// Accepted when the account is given.
func TestUnlistenResetsNobody(t *testing.T) {
	for seed := range uint64(100) {
		n, accepted := New(seed), 0
		d := n.NewDriver(1, func(sh engine.Shard) engine.Handler {
			return &dice{n: n, sh: sh, up: map[engine.ConnID]bool{}, fin: map[engine.ConnID]bool{},
				log: func(_ string, args ...any) { accepted++ }}
		})
		// The dice stay in the cup: no connection, no throw.
		ln := n.Listen("proxy:1")
		ln.Accept(func(*Sock) { accepted++ })
		dialed, refused := 0, 0
		for range 200 {
			n.After(n.Between(0, 20*time.Millisecond), func() {
				n.Dial("proxy:1", Events{Connected: func(err error) {
					if err == nil {
						dialed++
					} else {
						refused++
					}
				}, Reset: func() { t.Errorf("seed %d: a client was reset", seed) }})
			})
		}
		var end *engine.ListenerEnd
		atEnd := 0
		n.After(10*time.Millisecond, func() {
			d.Unlisten(ln, func(e engine.ListenerEnd) { end, atEnd = &e, accepted })
		})
		n.Run(time.Minute, never)
		if end == nil || !end.Proven || end.Residue != 0 {
			t.Fatalf("seed %d: end %+v", seed, end)
		}
		if dialed != atEnd || accepted != atEnd || dialed+refused != 200 || refused == 0 {
			t.Fatalf("seed %d: %d dialed, %d refused, %d accepted at the end, %d later", seed, dialed, refused, atEnd, accepted)
		}
	}
}

// A close that cannot flush within its linger ends then, and what the peer has does not look
// like the whole; one whose bytes fit the kernel's buffer leaves them to the kernel.
func TestCloseFlushesWithinLinger(t *testing.T) {
	for seed := range uint64(50) {
		for _, linger := range []time.Duration{0, 50 * time.Millisecond, time.Second} {
			n, d, rec, p := serve(t, seed)
			p.Pause()
			began := n.Now()
			d.Post(0, func(sh engine.Shard) {
				sh.Send(rec.ids[0], random(seed, n.Window+300_000))
				sh.Close(rec.ids[0], linger)
			})
			n.Run(time.Hour, func() bool { return len(rec.ends) == 1 })
			took := n.Now().Sub(began)
			if end := rec.ends[0]; !errors.Is(end.Err, ErrUnflushed) || end.Unsent == 0 || took < linger || took > linger+10*time.Millisecond {
				t.Fatalf("seed %d: linger %v: end %+v after %v", seed, linger, end, took)
			}
			p.Resume()
			n.Run(time.Hour, func() bool { return p.reset || p.eof })
			if !p.reset {
				t.Fatalf("seed %d: linger %v: what was cut short ends with FIN", seed, linger)
			}

			n, d, rec, p = serve(t, seed)
			p.Pause()
			small := random(seed, n.Window/2)
			d.Post(0, func(sh engine.Shard) { sh.Send(rec.ids[0], small); sh.Close(rec.ids[0], linger) })
			n.Run(time.Hour, func() bool { return len(rec.ends) == 1 })
			p.Resume()
			n.Run(time.Hour, func() bool { return p.reset || p.eof })
			if rec.ends[0].Err != nil || !slices.Equal(p.got, small) || !p.eof {
				t.Fatalf("seed %d: linger %v: end %+v, the peer got %d of %d bytes, EOF %v", seed, linger, rec.ends[0], len(p.got), len(small), p.eof)
			}
		}
	}
}
