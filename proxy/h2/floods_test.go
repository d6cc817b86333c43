package h2

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// attack sends what round writes until the connection ends, with an Append after each round as a driver would do (unless
// deaf: the peer reads nothing). It returns the error and the rounds; ms of the clock pass in each.
func attack(t *testing.T, cfg Config, ms int, deaf bool, round func(p *script, i int, r *recorder)) (*ConnError, int) {
	t.Helper()
	c, r := newServer(cfg)
	defer c.Release()
	p := newScript(true)
	r.onHead = func(s *Stream, _ []Field, _ bool) {}
	var out []byte
	for i := range attackRounds {
		round(p, i, r)
		err := c.Receive(p.take(), time.Duration(i*ms)*time.Millisecond)
		r.log = nil
		if e, ok := err.(*ConnError); ok {
			return e, i
		}
		if !deaf {
			out = c.Append(out[:0], 1<<20)
		}
		if n := len(c.out); n > maxOwed+4096 {
			t.Fatalf("%d bytes wait for a peer that does not read", n)
		}
	}
	return nil, attackRounds
}

const attackRounds = 3000

func get(i int) uint32 { return uint32(2*i + 1) }

// Each class of attack ends the connection with ENHANCE_YOUR_CALM, and soon (the CVE in the comment is an example of the class).
func TestFloods(t *testing.T) {
	for _, tc := range []struct {
		name   string
		deaf   bool
		want   Reason
		within int // rounds
		round  func(p *script, i int, r *recorder)
	}{
		{"rapid reset", false, FloodResets, 300, func(p *script, i int, _ *recorder) { // CVE-2023-44487
			p.get(get(i)).word(frameReset, get(i), uint32(Cancel))
		}},
		{"malformed requests", false, FloodResets, 300, func(p *script, i int, _ *recorder) { p.headers(get(i), true, "a=b") }},
		{"requests above the limit", false, FloodResets, 600, func(p *script, i int, _ *recorder) { p.get(get(i)) }},
		{"provoked: window overflow", false, FloodResets, 300, func(p *script, i int, _ *recorder) { // CVE-2025-8671
			p.get(get(i)).word(frameWindow, get(i), maxWindow)
		}},
		{"provoked: window update of 0", false, FloodResets, 300, func(p *script, i int, _ *recorder) { p.get(get(i)).word(frameWindow, get(i), 0) }},
		{"provoked: DATA after the end", false, FloodResets, 300, func(p *script, i int, _ *recorder) { p.get(get(i)).data(get(i), true, 1) }},
		{"provoked: HEADERS after the end", false, FloodResets, 300, func(p *script, i int, _ *recorder) { p.get(get(i)).get(get(i)) }},
		{"provoked: PRIORITY of a wrong length", false, FloodResets, 300, func(p *script, i int, _ *recorder) { p.get(get(i)).raw(framePriority, 0, get(i), 0) }},
		{"provoked: self-dependency", false, FloodResets, 300, func(p *script, i int, _ *recorder) {
			p.get(get(i)).raw(framePriority, 0, get(i), 0, 0, byte(get(i)>>8), byte(get(i)), 1)
		}},
		{"provoked: a body that is too long", false, FloodResets, 300, func(p *script, i int, _ *recorder) {
			p.post(get(i), "content-length=1").data(get(i), true, 2)
		}},
		{"CONTINUATION without end", false, BlockTooLarge, 40, func(p *script, i int, _ *recorder) { // CVE-2023-45288
			if i == 0 {
				p.raw(frameHeaders, 1, 1, p.block(getFields...)...)
			}
			p.raw(frameContinuation, 0, 1, bytes.Repeat([]byte{0x82}, 4096)...)
		}},
		{"CONTINUATION byte by byte", false, BlockTooLarge, 80, func(p *script, i int, _ *recorder) {
			if i == 0 {
				p.raw(frameHeaders, 1, 1, p.block(getFields...)...)
			}
			p.raw(frameContinuation, 0, 1, 0x82)
		}},
		{"empty CONTINUATION", false, BlockTooLarge, 6, func(p *script, i int, _ *recorder) { // CVE-2019-9518
			if i == 0 {
				p.raw(frameHeaders, 1, 1, p.block(getFields...)...)
			}
			p.raw(frameContinuation, 0, 1)
		}},
		{"PING", false, FloodControl, 1500, func(p *script, _ int, _ *recorder) { p.raw(framePing, 0, 0, make([]byte, 8)...) }}, // CVE-2019-9512
		{"PING, unread", true, Unread, 1000, func(p *script, _ int, _ *recorder) { p.raw(framePing, 0, 0, make([]byte, 8)...) }},
		{"SETTINGS", false, FloodControl, 400, func(p *script, _ int, _ *recorder) { p.settings() }}, // CVE-2019-9515
		{"SETTINGS of 2,700 entries", false, FloodControl, 2, func(p *script, _ int, _ *recorder) {
			p.settings(bytes32(5400)...)
		}},
		{"PRIORITY", false, FloodControl, 1500, func(p *script, _ int, _ *recorder) { p.raw(framePriority, 0, 1, 0, 0, 0, 0, 1) }}, // CVE-2019-9513
		{"unknown frames", false, FloodControl, 1500, func(p *script, _ int, _ *recorder) { p.raw(0xbe, 0, 0) }},
		{"WINDOW_UPDATE", false, FloodControl, 1500, func(p *script, _ int, _ *recorder) { p.word(frameWindow, 0, 1) }},
		{"GOAWAY", false, FloodControl, 1500, func(p *script, _ int, _ *recorder) { p.raw(frameGoAway, 0, 0, make([]byte, 8)...) }},
		{"frames on a stream that was reset", false, FloodControl, 1500, func(p *script, i int, _ *recorder) {
			if i == 0 {
				p.post(1).word(frameReset, 1, 8)
			}
			p.data(1, false, 100)
		}},
		{"empty DATA", false, FloodDribble, 3000, func(p *script, i int, _ *recorder) { // CVE-2019-9518
			if i == 0 {
				p.post(1)
			}
			p.data(1, false, 0)
		}},
		{"DATA of one byte", false, FloodDribble, 3000, func(p *script, i int, r *recorder) {
			if i == 0 {
				p.post(1)
				r.onData = func(s *Stream, b []byte, _ bool) { r.c.Consumed(s, len(b)) }
			}
			p.data(1, false, 1)
		}},
		{"windows of one byte", false, FloodControl, 1500, func(p *script, i int, r *recorder) { // CVE-2019-9511
			if i == 0 {
				p.settings(settingWindow, 0).get(1)
				r.onHead = func(s *Stream, _ []Field, _ bool) {
					s.Head(fieldsOf(":status=200"), false)
					s.Write(make([]byte, 1<<20), true)
				}
			}
			p.word(frameWindow, 1, 1)
		}},
	} {
		// A tenth of the time that honest use would take: many rounds in each millisecond.
		err, rounds := attack(t, Config{}, 0, tc.deaf, tc.round)
		if err == nil || err.Reason != tc.want || err.Code != EnhanceYourCalm || rounds > tc.within {
			t.Errorf("%s: %v after %d rounds, want %s within %d", tc.name, err, rounds, tc.want, tc.within)
		}
	}
}

func bytes32(n int) []uint32 { return make([]uint32, n) }

// A header list in few bytes on the wire costs no more than the limit, and its connection goes on (CVE-2026-49975):
// one long value in the table, then thousands of one-byte references to it.
func TestBomb(t *testing.T) {
	for _, name := range []string{"x", "cookie"} {
		c, r := newServer(Config{})
		out := newReader(t)
		out.sent(c)
		p := newScript(true)
		block := p.block(append(getFields, name+"="+strings.Repeat("v", 3900))...)
		block = append(block, bytes.Repeat([]byte{0x80 | 62}, 16000-len(block))...)
		p.raw(frameHeaders, 5, 1, block...)
		if err := c.Receive(p.get(3).take(), 0); err != nil {
			t.Fatal(err)
		}
		if got := r.events(); !strings.HasPrefix(got, "settings\ntoo large 1\nhead 3") {
			t.Errorf("%s: %q", name, got)
		}
		if n := cap(c.pool.scratch.buf); n > 2*c.cfg.HeaderList {
			t.Errorf("%s: %d bytes of scratch", name, n)
		}
	}
}

// Who works is never cut, however busy.
func TestHonestPeersAreNotCut(t *testing.T) {
	answer := func(n int) func(s *Stream, _ []Field, _ bool) {
		return func(s *Stream, _ []Field, _ bool) {
			s.Head(fieldsOf(":status=200"), false)
			s.Write(make([]byte, n), true)
		}
	}
	for _, tc := range []struct {
		name  string
		round func(p *script, i int, r *recorder)
	}{
		{"an upload goes on behind its reset", func(p *script, i int, r *recorder) {
			r.onHead = func(s *Stream, _ []Field, _ bool) { s.Reset(Cancel) }
			p.post(get(i))
			for range 16 {
				p.data(get(i), false, 1024)
			}
		}},
		{"every other request is cancelled", func(p *script, i int, r *recorder) {
			r.onHead = nil
			if i%2 == 0 {
				r.onHead = answer(100)
				p.get(get(i)).word(frameWindow, 0, 100)
				return
			}
			p.get(get(i)).word(frameReset, get(i), uint32(Cancel))
		}},
		{"two PRIORITY and two WINDOW_UPDATE a request", func(p *script, i int, r *recorder) {
			r.onHead = answer(100)
			p.get(get(i)).raw(framePriority, 0, get(i), 0, 0, 0, 0, 1).raw(framePriority, 0, get(i), 0, 0, 0, 0, 1)
			p.word(frameWindow, 0, 100).word(frameWindow, get(i), 50)
		}},
		{"two WINDOW_UPDATE and a PING for each small message", func(p *script, i int, r *recorder) {
			if i == 0 {
				p.get(1)
				r.onHead = func(s *Stream, _ []Field, _ bool) { s.Head(fieldsOf(":status=200"), false) }
				return
			}
			r.streams[1].Write(make([]byte, 20), false)
			p.word(frameWindow, 0, 20).word(frameWindow, 1, 20).raw(framePing, 0, 0, make([]byte, 8)...)
		}},
		{"small messages both ways", func(p *script, i int, r *recorder) {
			if i == 0 {
				p.post(1)
				r.onHead = func(s *Stream, _ []Field, _ bool) { s.Head(fieldsOf(":status=200"), false) }
				r.onData = func(s *Stream, b []byte, _ bool) {
					r.c.Consumed(s, len(b))
					s.Write(b, false)
				}
			}
			p.data(1, false, 9).word(frameWindow, 0, 9).word(frameWindow, 1, 9)
		}},
	} {
		if err, rounds := attack(t, Config{}, 0, false, tc.round); err != nil {
			t.Errorf("%s: cut after %d rounds: %v", tc.name, rounds, err)
		}
	}
}

// Budgets refill with time: the same frames at a pace are no flood.
func TestBudgetsRefill(t *testing.T) {
	for name, round := range map[string]func(p *script, i int, _ *recorder){
		"PING":        func(p *script, _ int, _ *recorder) { p.raw(framePing, 0, 0, make([]byte, 8)...) },
		"rapid reset": func(p *script, i int, _ *recorder) { p.get(get(i)).word(frameReset, get(i), uint32(Cancel)) },
	} {
		if err, rounds := attack(t, Config{}, 20, false, round); err != nil {
			t.Errorf("%s, 50 in a second: cut after %d rounds: %v", name, rounds, err)
		}
		if err, _ := attack(t, Config{Floods: Floods{Control: Budget{Burst: 1}, Resets: Budget{Burst: 1}}}, 20, false, round); err == nil {
			t.Errorf("%s: a budget without a refill lasts for ever", name)
		}
		if err, rounds := attack(t, Config{Floods: Floods{Control: Budget{Burst: -1}, Resets: Budget{Burst: -1}}}, 0, false, round); err != nil {
			t.Errorf("%s: a negative budget cuts after %d rounds: %v", name, rounds, err)
		}
	}
}

// Requests that hang and are given up after a while are no attack, however many: a client whose deadlines expire.
func TestSlowCancelsAreFree(t *testing.T) {
	err, rounds := attack(t, Config{}, 100, false, func(p *script, i int, _ *recorder) {
		for k := range 100 {
			if i > 0 {
				p.word(frameReset, get(100*(i-1)+k), uint32(Cancel))
			}
			p.get(get(100*i + k))
		}
	})
	if err != nil {
		t.Errorf("cut after %d rounds: %v", rounds, err)
	}
}

// Reasons is the whole set.
func TestReasons(t *testing.T) {
	seen := map[Reason]bool{}
	for _, r := range Reasons() {
		if seen[r] || r == "" || strings.ToLower(string(r)) != string(r) {
			t.Errorf("%q is repeated or no label", r)
		}
		seen[r] = true
	}
	for _, tc := range requests {
		if tc.why != "" && !seen[tc.why] {
			t.Errorf("%q is not in Reasons", tc.why)
		}
	}
}
