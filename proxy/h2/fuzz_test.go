package h2

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// fuzzed is an owner whose actions follow from what it is told alone, so that two connections that are told the same act the same.
type fuzzed struct {
	c    *Conn
	log  []string
	data map[uint32]int // since the last event of another kind
}

func newFuzzed(client bool) *fuzzed {
	f := &fuzzed{data: map[uint32]int{}}
	f.c = New(Config{Client: client, MaxStreams: 6, HeaderList: 4096, StreamWindow: 40_000, ConnWindow: 100_000, LowWater: 100, ExtendedConnect: true}, f)
	if client {
		for i, method := range []string{"GET", "POST", "HEAD", "CONNECT"} {
			fields := []Field{field(":method", method), field(":scheme", "http"), field(":authority", "x"), field(":path", "/")}
			if s, err := f.c.Open(fields, i != 1); err == nil && i == 1 {
				s.Write(make([]byte, 70_000), false)
				s.Trailers(fieldsOf("a=b"))
			}
		}
	}
	return f
}

// note logs an event; data is summed up, since its pieces are not a promise.
func (f *fuzzed) note(format string, args ...any) {
	f.log = append(f.log, fmt.Sprintf(format, args...))
}

func (f *fuzzed) act(s *Stream) {
	if f.c.cfg.Client {
		if s.ID()%8 == 3 {
			s.Reset(Cancel)
		}
		return
	}
	switch s.ID() / 2 % 6 {
	case 0:
		s.Head(fieldsOf(":status=200", "x=y"), true)
	case 1:
		s.Interim(fieldsOf(":status=103"))
		s.Head(fieldsOf(":status=200"), false)
		s.Write(make([]byte, 30_000), false)
		s.Trailers(fieldsOf("t=u"))
	case 2:
		s.Reset(InternalError)
	case 3:
		s.Head(fieldsOf(":status=403"), false)
		s.Discard()
		s.Write(make([]byte, 10), true)
	}
}

func (f *fuzzed) Head(s *Stream, fields []Field, end bool) {
	for _, x := range fields {
		if len(x.Name) == 0 || strings.ContainsAny(string(x.Name)+string(x.Value), "\r\n\x00") || strings.ToLower(string(x.Name)) != string(x.Name) && isASCII(x.Name) {
			panic("a forbidden field is shown")
		}
	}
	f.note("head %d%s%s", s.ID(), show(fields), ending2(end))
	f.act(s)
}

func isASCII(b []byte) bool { return !bytes.ContainsFunc(b, func(r rune) bool { return r > 127 }) }

func (f *fuzzed) Interim(s *Stream, fields []Field) { f.note("interim %d%s", s.ID(), show(fields)) }
func (f *fuzzed) TooLarge(s *Stream) {
	f.note("too large %d", s.ID())
	s.Head(fieldsOf(":status=431"), true)
}
func (f *fuzzed) Data(s *Stream, b []byte, end bool) {
	f.data[s.ID()] += len(b)
	if end {
		f.note("data %d ends after %d", s.ID(), f.data[s.ID()])
	}
}
func (f *fuzzed) Trailers(s *Stream, fields []Field) {
	f.note("trailers %d%s after %d", s.ID(), show(fields), f.data[s.ID()])
}
func (f *fuzzed) Reset(s *Stream, why Cause) {
	f.note("reset %d %+v after %d", s.ID(), why, f.data[s.ID()])
}
func (f *fuzzed) Done(s *Stream) { f.note("done %d", s.ID()) }
func (f *fuzzed) Room(s *Stream) { f.note("room %d", s.ID()) }
func (f *fuzzed) Refused(id uint32, why Reason) {
	f.note("refused %d %s", id, why)
}
func (f *fuzzed) Settings() { f.note("settings") }
func (f *fuzzed) GoAway(last uint32, code ErrorCode, debug []byte) {
	f.note("goaway %d %v %q", last, code, debug)
}
func (f *fuzzed) NoticeAcked() { f.note("notice acked") }
func (f *fuzzed) Pong()        { f.note("pong") }

// check holds the invariants that no input may break.
func (f *fuzzed) check(t *testing.T, fed int) {
	t.Helper()
	c := f.c
	if c.err == nil {
		window := int(c.recv) + int(c.recvBack)
		for _, s := range c.open {
			window += int(s.unconsumed)
		}
		if c.reading == readData || c.reading == readPad {
			window += c.dataLeft // padding was given back with its length
		}
		if window != c.cfg.ConnWindow {
			t.Fatalf("%d of the window of the connection are lost", c.cfg.ConnWindow-window)
		}
	}
	if len(c.part) > c.cfg.MaxFrame || len(c.block) > c.cfg.maxBlock() || len(c.open) > 6 || len(c.ids) != len(c.open) || len(c.closed.ring) > closedMemory {
		t.Fatalf("a bound is broken: part %d, block %d, %d streams", len(c.part), len(c.block), len(c.open))
	}
	if c.owed > maxOwed+64 {
		t.Fatalf("%d bytes are owed", c.owed)
	}
	// What waits: answers to what came (no answer is more than twice as long), and the answers of act.
	if len(c.out) > 2*fed+4096 {
		t.Fatalf("%d bytes of frames for %d that came", len(c.out), fed)
	}
}

// end takes all that is to be sent, and checks that another implementation can read it.
func (f *fuzzed) end(t *testing.T) []byte {
	t.Helper()
	var out []byte
	for f.c.Wants() {
		n := len(out)
		if out = f.c.Append(out, 1<<14); len(out) == n {
			t.Fatal("Wants is true and Append gives nothing")
		}
	}
	r := newReader(t)
	r.in.Write(out)
	r.lines()
	return out
}

// FuzzReceive: no input breaks the invariants, and nothing depends on the pieces in which it comes.
func FuzzReceive(f *testing.F) {
	for _, tc := range rules {
		p := newScript(true)
		tc.script(p)
		f.Add(false, uint64(1), p.take())
	}
	for _, tc := range responses {
		p := newScript(false)
		if tc.list != "" {
			p.headers(1, tc.end, strings.Split(tc.list, "|")...).data(1, true, 10)
		}
		f.Add(true, uint64(1), p.take())
	}
	p := newScript(true).post(1, "content-length=3000").data(1, false, 1000).data(1, true, 2000).post(3).headers(3, true, "a=b")
	p.fr.WriteDataPadded(3, true, []byte("x"), make([]byte, 100))
	p.post(7).data(7, true, 500).get(9).get(11).post(15, "cookie=a", "cookie=b").word(frameWindow, 0, 50_000).settings(settingWindow, 100)
	f.Add(false, uint64(7), p.take())
	p = newScript(false).settings(settingStreams, 3, settingConnect, 1).headers(1, false, ":status=103").headers(1, false, ":status=200").data(1, true, 500)
	p.headers(5, true, ":status=200", "content-length=7").word(frameReset, 3, 0).raw(frameGoAway, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0)
	f.Add(true, uint64(9), p.take())
	f.Fuzz(func(t *testing.T, client bool, seed uint64, in []byte) {
		whole := newFuzzed(client)
		errWhole := whole.c.Receive(in, 0)
		whole.check(t, len(in))
		outWhole := whole.end(t)

		rng := rand.New(rand.NewPCG(seed, 2))
		pieces := newFuzzed(client)
		var err error
		for rest := in; len(rest) > 0 && err == nil; {
			n := min(len(rest), 1+rng.IntN(1<<rng.IntN(12)))
			err = pieces.c.Receive(bytes.Clone(rest[:n]), 0)
			rest = rest[n:]
			pieces.check(t, len(in))
		}
		outPieces := pieces.end(t)
		if fmt.Sprint(errWhole) != fmt.Sprint(err) {
			t.Fatalf("in one piece %v, in pieces %v", errWhole, err)
		}
		if a, b := strings.Join(whole.log, "\n"), strings.Join(pieces.log, "\n"); a != b {
			t.Fatalf("in one piece:\n%s\nin pieces:\n%s", a, b)
		}
		if !bytes.Equal(outWhole, outPieces) {
			t.Fatal("what is sent depends on the pieces")
		}

		// As a driver does it: sending, consuming and time in between.
		third := newFuzzed(client)
		reader := newReader(t)
		for rest := in; len(rest) > 0; {
			n := min(len(rest), 1+rng.IntN(1<<rng.IntN(12)))
			if third.c.Receive(rest[:n], time.Duration(len(in)-len(rest))*time.Millisecond) != nil {
				break
			}
			rest = rest[n:]
			third.c.Each(func(s *Stream) { third.c.Consumed(s, rng.IntN(s.Unconsumed()+1)) })
			third.check(t, len(in))
			reader.in.Write(third.c.Append(nil, 1+rng.IntN(20_000)))
			reader.lines()
		}
		third.c.Release()
	})
}
