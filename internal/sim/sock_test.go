package sim

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

// peer is one end of a connection that keeps what it gets.
type peer struct {
	*Sock
	t     *testing.T
	got   []byte
	eof   bool
	reset bool
	dial  error
}

func (p *peer) events() Events {
	return Events{
		Connected: func(err error) { p.dial = err },
		Data: func(b []byte) {
			if p.eof || p.reset {
				p.t.Errorf("%d bytes after the end (EOF %v, reset %v)", len(b), p.eof, p.reset)
			}
			p.got = append(p.got, b...)
		},
		EOF: func() {
			if p.eof || p.reset {
				p.t.Errorf("EOF after the end (EOF %v, reset %v)", p.eof, p.reset)
			}
			p.eof = true
		},
		Reset: func() {
			if p.reset {
				p.t.Error("a second reset")
			}
			p.reset = true
		},
	}
}

func never() bool { return false }

// connect makes a connection: the dialer's end and the accepted one.
func connect(t *testing.T, n *Net) (a, b *peer) {
	t.Helper()
	a, b = &peer{t: t}, &peer{t: t}
	ln := n.Listen("b:1")
	ln.Accept(func(s *Sock) { b.Sock = s; s.SetEvents(b.events()) })
	a.Sock = n.Dial("b:1", a.events())
	if !n.Run(time.Minute, func() bool { return b.Sock != nil }) {
		t.Fatal("not accepted")
	}
	ln.Close()
	return a, b
}

// chatter lets p write content in pieces, at random moments, and pause now and then.
func chatter(n *Net, p *peer, content []byte) {
	switch {
	case len(content) == 0:
		p.Resume()
		p.CloseWrite()
		return
	case n.Chance(0.2):
		p.Pause()
	case n.Chance(0.5):
		p.Resume()
	}
	k := min(1+n.Rand.IntN(1<<n.Rand.IntN(16)), len(content))
	b := bytes.Clone(content[:k])
	p.Write(b)
	clear(b) // Write made a copy
	n.After(n.Between(0, time.Millisecond), func() { chatter(n, p, content[k:]) })
}

func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = src.Read(b)
	return b
}

// What TCP promises: every byte once, in order, both ways, then FIN; then nothing is left.
func TestStreamKeepsItsPromises(t *testing.T) {
	splits := 0
	for seed := range uint64(200) {
		n := New(seed)
		n.Window = 1 << (8 + n.Rand.IntN(9))
		a, b := connect(t, n)
		fromA, fromB := random(2*seed, n.Rand.IntN(100_000)), random(2*seed+1, n.Rand.IntN(100_000))
		chatter(n, a, fromA)
		chatter(n, b, fromB)
		n.Run(time.Hour, func() bool { return a.eof && b.eof })
		if !bytes.Equal(b.got, fromA) || !bytes.Equal(a.got, fromB) {
			t.Fatalf("seed %d: got %d of %d and %d of %d bytes, or others", seed, len(b.got), len(fromA), len(a.got), len(fromB))
		}
		if !a.eof || !b.eof || a.reset || b.reset {
			t.Fatalf("seed %d: EOF %v %v, reset %v %v", seed, a.eof, b.eof, a.reset, b.reset)
		}
		a.Close()
		b.Close()
		n.Run(time.Minute, never)
		if n.Open() != 0 || a.Alive() || b.Alive() {
			t.Fatalf("seed %d: %d socket ends left open", seed, n.Open())
		}
		splits += min(n.Count["short read"], n.Count["short write"])
	}
	if splits == 0 {
		t.Error("no read and no write was ever split: the test shows nothing")
	}
}

// A peer that does not read fills the window and no more; what waits is counted.
func TestWindowHoldsTheWriterBack(t *testing.T) {
	n := New(1)
	n.Window = 1000
	a, b := connect(t, n)
	b.Pause()
	sent := random(1, 5000)
	a.Write(sent)
	n.Run(time.Minute, never)
	if a.Queued() != 4000 || a.Unacked() != 5000 || len(b.got) != 0 {
		t.Fatalf("queued %d, unacked %d, read %d, want 4000, 5000, 0", a.Queued(), a.Unacked(), len(b.got))
	}
	b.Resume()
	n.Run(time.Minute, never)
	if a.Unacked() != 0 || !bytes.Equal(b.got, sent) {
		t.Fatalf("unacked %d, read %d", a.Unacked(), len(b.got))
	}
}

// Data and FIN are ordered against each other, whatever the delays.
func TestFINComesAfterData(t *testing.T) {
	for seed := range uint64(200) {
		n := New(seed)
		a, b := connect(t, n)
		a.Write([]byte("all of it"))
		a.Close()
		n.Run(time.Minute, func() bool { return b.eof })
		if string(b.got) != "all of it" || b.reset {
			t.Fatalf("seed %d: got %q, reset %v", seed, b.got, b.reset)
		}
	}
}

func TestResetDestroysUnreadData(t *testing.T) {
	for seed := range uint64(50) {
		n := New(seed)
		a, b := connect(t, n)
		b.Pause()
		a.Write([]byte("never read"))
		n.Run(time.Second, never)
		a.Abort()
		n.Run(time.Second, never)
		b.Resume()
		b.Write([]byte("into the void"))
		n.Run(time.Second, never)
		if !b.reset || len(b.got) != 0 || b.eof {
			t.Fatalf("seed %d: reset %v, got %q, EOF %v", seed, b.reset, b.got, b.eof)
		}
		if a.reset || n.Open() != 0 {
			t.Fatalf("seed %d: the resetter heard of it: %v; %d ends open", seed, a.reset, n.Open())
		}
	}
}

// A reset cannot overtake what was read already, nor come before what was sent.
func TestResetIsOrderedAfterData(t *testing.T) {
	for seed := range uint64(100) {
		n := New(seed)
		a, b := connect(t, n)
		a.Write([]byte("x"))
		n.Run(time.Second, func() bool { return len(b.got) > 0 })
		a.Write([]byte("y"))
		a.Abort()
		n.Run(time.Second, never)
		if got := string(b.got); got != "x" && got != "xy" || !b.reset {
			t.Fatalf("seed %d: got %q, reset %v", seed, got, b.reset)
		}
	}
}

// Closing with data unread, or getting data after the close, answers RST.
func TestCloseWithUnreadOrLateDataResets(t *testing.T) {
	for seed := range uint64(50) {
		n := New(seed)
		a, b := connect(t, n)
		b.Pause()
		a.Write([]byte("unread"))
		n.Run(time.Second, never)
		b.Close()
		n.Run(time.Second, never)
		if !a.reset || n.Count["reset by unread data"] != 1 {
			t.Fatalf("seed %d: unread data: reset %v, %v", seed, a.reset, n.Count)
		}

		a, b = connect(t, n)
		b.Close()
		n.Run(time.Second, func() bool { return a.eof })
		a.Write([]byte("late"))
		n.Run(time.Second, never)
		if !a.reset || n.Count["reset by late data"] != 1 || n.Open() != 0 {
			t.Fatalf("seed %d: late data: reset %v, %v", seed, a.reset, n.Count)
		}
	}
}

func TestDialEnds(t *testing.T) {
	n := New(3)
	try := func(limit time.Duration) (*peer, time.Duration) {
		p, began := &peer{t: t}, n.Now()
		told := false
		ev := p.events()
		ev.Connected = func(err error) { p.dial, told = err, true }
		p.Sock = n.Dial("b:1", ev)
		n.Run(limit, func() bool { return told })
		if !told {
			t.Fatal("the dial had no end")
		}
		return p, n.Now().Sub(began)
	}
	if p, _ := try(time.Minute); p.dial != ErrRefused {
		t.Errorf("no listener: %v, want %v", p.dial, ErrRefused)
	}
	ln := n.Listen("b:1")
	if p, _ := try(time.Minute); p.dial != nil || ln.Queued() != 1 {
		t.Errorf("listener: %v, %d queued", p.dial, ln.Queued())
	}
	ln.Shed()
	if p, took := try(time.Minute); p.dial != ErrTimeout || took < synTimeout {
		t.Errorf("shed: %v after %v, want %v", p.dial, took, ErrTimeout)
	}
	ln.Unshed()
	last, _ := try(time.Minute)
	if n := ln.Close(); n != 2 {
		t.Errorf("%d left in the queue, want 2", n)
	}
	n.Run(time.Second, never)
	if !last.reset {
		t.Error("who was queued at the close was not reset")
	}
	if p, _ := try(time.Minute); p.dial != ErrRefused {
		t.Errorf("closed: %v, want %v", p.dial, ErrRefused)
	}
}

func TestClockOrdersEvents(t *testing.T) {
	n := New(0)
	var got []int
	note := func(i int) func() { return func() { got = append(got, i) } }
	n.After(2*time.Second, note(3))
	n.After(time.Second, note(1))
	n.After(time.Second, note(2)) // the same moment: the order of asking
	stop := n.After(time.Second, note(-1))
	n.After(-time.Second, note(0)) // at once
	if !stop() || stop() {
		t.Error("stop said something else than that it prevented the event, once")
	}
	if n.Run(1500*time.Millisecond, never) {
		t.Error("Run said done")
	}
	n.Run(time.Minute, never)
	for i, v := range got {
		if i != v || len(got) != 4 {
			t.Fatalf("order %v", got)
		}
	}
	if at := n.Now().Sub(Epoch); at != 2*time.Second {
		t.Errorf("the clock shows %v", at)
	}
}
