package h2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// What is consumed is given back in updates that are worth a frame, and the window never closes on who consumes.
func TestWindowsAreGivenBack(t *testing.T) {
	c, r := newServer(Config{StreamWindow: 64 << 10, ConnWindow: 96 << 10})
	out := newReader(t)
	out.sent(c)
	r.onData = func(s *Stream, b []byte, _ bool) { c.Consumed(s, len(b)) }
	p := newScript(true).post(1)
	updates := map[string]int{}
	for range 100 {
		if err := c.Receive(p.data(1, false, 16<<10).take(), 0); err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(out.sent(c), "\n") {
			var id, n int
			if k, _ := fmt.Sscanf(line, "WINDOW_UPDATE %d %d", &id, &n); k == 2 {
				updates[line[:15]] += n
				updates["updates"]++
				if n < 16<<10 {
					t.Errorf("an update of %d", n)
				}
			}
		}
	}
	const all = 1600 << 10
	if s, k := updates["WINDOW_UPDATE 1"], updates["WINDOW_UPDATE 0"]; s > all || s < all-64<<10 || k > all || k < all-96<<10 {
		t.Errorf("given back %d to the stream and %d to the connection of %d", s, k, all)
	}
	if updates["updates"] > 100 {
		t.Errorf("%d updates for 100 frames", updates["updates"])
	}
}

// While nobody consumes, nothing is given back: the peer may send a window, and not a byte more.
func TestNobodyConsumes(t *testing.T) {
	c, r := newServer(Config{StreamWindow: 100_000})
	out := newReader(t)
	out.sent(c)
	p := newScript(true).post(1)
	for range 10 {
		p.data(1, false, 10_000)
	}
	if err := c.Receive(p.take(), 0); err != nil {
		t.Fatal(err)
	}
	if got := out.sent(c); got != "SETTINGS ack" || r.streams[1].Unconsumed() != 100_000 {
		t.Errorf("sent %q, %d unconsumed", got, r.streams[1].Unconsumed())
	}
	r.events()
	if err := c.Receive(p.data(1, false, 1).take(), 0); err != nil {
		t.Fatal(err)
	}
	if got := r.events(); got != "reset 1 FLOW_CONTROL_ERROR local=true unprocessed=false window" {
		t.Errorf("events %q", got)
	}
	if c.recv+c.recvBack != 1<<20 {
		t.Errorf("%d of the window are lost with the stream", 1<<20-c.recv-c.recvBack)
	}
}

func TestMoreThanTheWindowOfTheConnection(t *testing.T) {
	c, _ := newServer(Config{StreamWindow: 1 << 20, ConnWindow: firstWindow})
	p := newScript(true).post(1).data(1, false, 16000).data(1, false, 16000).data(1, false, 16000).data(1, false, 16000)
	if err := c.Receive(p.data(1, false, 1535).take(), 0); err != nil {
		t.Fatal(err)
	}
	err := c.Receive(p.data(1, false, 1).take(), 0)
	if e, ok := err.(*ConnError); !ok || e.Code != FlowControlError {
		t.Errorf("%v", err)
	}
}

// Others sit on the window of the connection: what still moves is given back at once, or it would stand still.
func TestStuckStreamsLeaveTheRestOfTheWindow(t *testing.T) {
	c, r := newServer(Config{StreamWindow: 64 << 10, ConnWindow: firstWindow})
	out := newReader(t)
	out.sent(c)
	r.onData = func(s *Stream, b []byte, _ bool) {
		if s.ID() == 3 {
			c.Consumed(s, len(b))
		}
	}
	p := newScript(true).post(1).post(3)
	for range 4 {
		p.data(1, false, 16000)
	}
	if err := c.Receive(p.take(), 0); err != nil {
		t.Fatal(err)
	}
	out.sent(c)
	for range 20 { // 1,535 bytes are left
		if err := c.Receive(p.data(3, false, 1000).take(), 0); err != nil {
			t.Fatal(err)
		}
		out.sent(c)
	}
}

// Padding is nobody's to consume.
func TestPaddingIsGivenBack(t *testing.T) {
	c, r := newServer(Config{StreamWindow: 1000})
	p := newScript(true).post(1)
	p.fr.WriteSettingsAck()
	for range 100 {
		p.fr.WriteDataPadded(1, false, []byte("abcde"), make([]byte, 200))
		if err := c.Receive(p.take(), 0); err != nil {
			t.Fatal(err)
		}
		c.Consumed(r.streams[1], 5)
	}
}

// A server that takes less than 65535 for a stream must take that much until its SETTINGS are acknowledged.
func TestSmallWindowBeforeTheAck(t *testing.T) {
	c, r := newServer(Config{StreamWindow: 100})
	p := newScript(true).post(1).data(1, false, 10_000)
	p.fr.WriteSettingsAck()
	if err := c.Receive(p.take(), 0); err != nil {
		t.Fatal(err)
	}
	if c.Consumed(r.streams[1], 10_000); r.streams[1].recv != 100 {
		t.Errorf("the window of the stream is %d", r.streams[1].recv)
	}
	r.events()
	if err := c.Receive(p.post(3).data(3, false, 101).take(), 0); err != nil || !strings.Contains(r.events(), "FLOW_CONTROL") {
		t.Errorf("a new stream takes more than 100: %v", err)
	}
}

// INITIAL_WINDOW_SIZE changes the windows of open streams, also to below zero (RFC 9113 section 6.9.2).
func TestNegativeWindow(t *testing.T) {
	c, r := newServer(Config{})
	out := newReader(t)
	out.sent(c)
	p := newScript(true).settings(settingWindow, 100).get(1)
	if err := c.Receive(p.take(), 0); err != nil {
		t.Fatal(err)
	}
	s := r.streams[1]
	s.Head(fieldsOf(":status=200"), false)
	s.Write(make([]byte, 300), true)
	if got := out.sent(c); !strings.HasSuffix(got, "DATA 1 100") || !s.Blocked() || s.Queued() != 200 {
		t.Fatalf("sent %q, %d queued", got, s.Queued())
	}
	steps := []struct {
		in   func(p *script)
		want string
	}{
		{func(p *script) { p.settings(settingWindow, 40) }, "SETTINGS ack"}, // -60
		{func(p *script) { p.word(frameWindow, 1, 60) }, ""},                // 0
		{func(p *script) { p.word(frameWindow, 1, 10) }, "DATA 1 10"},
		{func(p *script) { p.settings(settingWindow, 90) }, "SETTINGS ack\nDATA 1 50"},
		{func(p *script) { p.word(frameWindow, 1, 1000) }, "DATA 1 140 end"},
	}
	for i, step := range steps {
		step.in(p)
		if err := c.Receive(p.take(), 0); err != nil {
			t.Fatal(err)
		}
		if got := out.sent(c); got != step.want {
			t.Errorf("step %d: sent %q, want %q", i, got, step.want)
		}
	}
	if !strings.HasSuffix(r.events(), "done 1") {
		t.Error("the stream is not done")
	}
}

// A window that closes while data waits for its turn.
func TestWindowClosesOnReadyData(t *testing.T) {
	c, r := newServer(Config{})
	out := newReader(t)
	out.sent(c)
	p := newScript(true)
	if err := c.Receive(p.get(1).take(), 0); err != nil {
		t.Fatal(err)
	}
	r.streams[1].Head(fieldsOf(":status=200"), false)
	r.streams[1].Write(make([]byte, 1000), false)
	out.sent(c)
	r.streams[1].Write(make([]byte, 1000), true)
	if err := c.Receive(p.settings(settingWindow, 10).take(), 0); err != nil {
		t.Fatal(err)
	}
	if got := out.sent(c); got != "SETTINGS ack" || !r.streams[1].Blocked() {
		t.Errorf("sent %q", got)
	}
}

// Who consumes in small pieces gets no update for each.
func TestSmallPiecesAreGathered(t *testing.T) {
	c, r := newServer(Config{StreamWindow: 64 << 10})
	out := newReader(t)
	out.sent(c)
	p := newScript(true).post(1)
	p.fr.WriteSettingsAck()
	for range 4 {
		p.data(1, false, 16<<10)
	}
	if err := c.Receive(p.take(), 0); err != nil {
		t.Fatal(err)
	}
	out.sent(c)
	updates := 0
	for range 640 {
		c.Consumed(r.streams[1], 102)
		if got := out.sent(c); got != "" {
			updates++
		}
	}
	if updates < 2 || updates > 4 {
		t.Errorf("%d updates for 64 KiB in small pieces", updates)
	}
}

// Data leaves in fair turns, within the size that was asked for, and control frames are never behind it.
func TestTurns(t *testing.T) {
	c, r := newServer(Config{})
	out := newReader(t)
	out.sent(c)
	p := newScript(true).settings(settingWindow, 1<<20).get(1).get(3).get(5).word(frameWindow, 0, 1<<20)
	if err := c.Receive(p.take(), 0); err != nil {
		t.Fatal(err)
	}
	for _, id := range []uint32{1, 3, 5} {
		r.streams[id].Head(fieldsOf(":status=200"), false)
		r.streams[id].Write(make([]byte, 40<<10), true)
	}
	out.sent1(c, 16<<10)
	var order []string
	for c.Wants() {
		if err := c.Receive(p.raw(framePing, 0, 0, []byte("12345678")...).take(), 0); err != nil {
			t.Fatal(err)
		}
		b := c.Append(nil, 20<<10)
		if len(b) > 20<<10+64 {
			t.Errorf("%d bytes where 20 KiB were asked for", len(b))
		}
		out.in.Write(b)
		lines := strings.Split(out.lines(), "\n")
		if lines[0] != `PING ack "12345678"` {
			t.Fatalf("data before the answer to PING: %q", lines)
		}
		order = append(order, lines[1:]...)
	}
	sent := map[string]int{}
	for _, line := range order {
		var id, n int
		if k, _ := fmt.Sscanf(line, "DATA %d %d", &id, &n); k == 2 {
			sent[fmt.Sprint(id)] += n
		}
		lo, hi := 1<<30, 0
		for _, k := range []string{"1", "3", "5"} {
			lo, hi = min(lo, sent[k]), max(hi, sent[k])
		}
		if hi-lo > 33<<10 && lo < 24<<10 {
			t.Errorf("unfair: %v at %q", sent, line)
		}
	}
	if got := len(r.streams); got != 0 {
		t.Errorf("%d streams are not done", got)
	}
}

func (r *reader) sent1(c *Conn, size int) { r.in.Write(c.Append(nil, size)); r.lines() }

// Room is called once when a full queue has emptied, and what the caller writes in it leaves as well.
func TestRoom(t *testing.T) {
	c, r := newServer(Config{LowWater: 1000})
	out := newReader(t)
	out.sent(c)
	if err := c.Receive(newScript(true).settings(settingWindow, 1<<20).get(1).take(), 0); err != nil {
		t.Fatal(err)
	}
	s := r.streams[1]
	s.Head(fieldsOf(":status=200"), false)
	s.Write(make([]byte, 500), false)
	out.sent(c)
	if strings.Contains(r.events(), "room") {
		t.Error("Room without a full queue")
	}
	left := 3
	r.onRoom = func(s *Stream) {
		if left--; left > 0 {
			s.Write(make([]byte, 5000), left == 1)
		}
	}
	s.Write(make([]byte, 5000), false)
	if got, want := out.sent(c), "DATA 1 5000\nDATA 1 5000\nDATA 1 5000 end"; got != want {
		t.Errorf("sent %q", got)
	}
	if got := r.events(); strings.Count(got, "room 1") != 3 || !strings.HasSuffix(got, "done 1") {
		t.Errorf("events %q", got)
	}
}

// Trailers leave behind all data, also if the window opens late, and HPACK is encoded in the order of the wire.
func TestTrailersBehindBlockedData(t *testing.T) {
	c, r := newServer(Config{})
	out := newReader(t)
	out.sent(c)
	p := newScript(true).settings(settingWindow, 10).get(1).get(3)
	if err := c.Receive(p.take(), 0); err != nil {
		t.Fatal(err)
	}
	for _, id := range []uint32{1, 3} {
		s := r.streams[id]
		s.Head(fieldsOf(":status=200", "a=b"), false)
		s.Write(make([]byte, 15), false)
		name := []byte("a=b")
		s.Trailers([]Field{{Name: name[:1], Value: name[2:]}})
		copy(name, "xxx") // it was copied
	}
	out.sent(c)
	if err := c.Receive(p.word(frameWindow, 1, 10).word(frameWindow, 3, 10).get(5).take(), 0); err != nil {
		t.Fatal(err)
	}
	r.streams[5].Head(fieldsOf(":status=200", "a=b", "c=d"), true)
	want := "HEADERS 5 :status=200 a=b c=d end\nDATA 1 5\nHEADERS 1 a=b end\nDATA 3 5\nHEADERS 3 a=b end"
	if got := out.sent(c); got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
}

// A head above a frame leaves in CONTINUATION frames.
func TestLongHead(t *testing.T) {
	c, r := newServer(Config{})
	out := newReader(t)
	out.fr.MaxHeaderListSize = 1 << 20
	out.sent(c)
	if err := c.Receive(newScript(true).get(1).take(), 0); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("0123456789", 4000)
	r.streams[1].Head(fieldsOf(":status=200", "a="+long, "b=c"), true)
	if got := out.sent(c); got != "SETTINGS ack\nHEADERS 1 :status=200 a="+long+" b=c end" {
		t.Errorf("sent %d bytes", len(got))
	}
}

// The size update is the first thing in the next block, also if that holds only a field that is not indexed.
func TestSizeUpdateComesFirst(t *testing.T) {
	c, r := newServer(Config{})
	out := newReader(t)
	p := newScript(true)
	if err := c.Receive(p.get(1).take(), 0); err != nil {
		t.Fatal(err)
	}
	r.streams[1].Head(fieldsOf(":status=200"), false)
	out.sent(c)
	if err := c.Receive(p.settings(settingTable, 0).take(), 0); err != nil {
		t.Fatal(err)
	}
	r.streams[1].Trailers(fieldsOf("a=b"))
	b := c.Append(nil, 1<<20)
	if block := b[2*headerLen:]; len(block) == 0 || block[0] != 0x20 { // behind SETTINGS ack
		t.Errorf("the block is % x", block)
	}
}

// The table of the peer may shrink at any time, to nothing, and grow again.
func TestTableOfThePeer(t *testing.T) {
	c, r := newServer(Config{})
	out := newReader(t)
	p := newScript(true)
	id := uint32(1)
	for _, table := range []uint32{4096, 0, 100, 4096, 64, 1 << 30, 0} {
		if err := c.Receive(p.settings(settingTable, table).take(), 0); err != nil {
			t.Fatal(err)
		}
		out.fr.ReadMetaHeaders.SetAllowedMaxDynamicTableSize(min(table, 4096))
		for i := range 5 {
			if err := c.Receive(p.get(id).take(), 0); err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf(":status=20%d a=b%d x=%s new=%d", i%2, i%3, bytes.Repeat([]byte{'x'}, 40), id)
			r.streams[id].Head(fieldsOf(strings.Split(want, " ")...), true)
			if got := out.sent(c); !strings.HasSuffix(got, fmt.Sprintf("HEADERS %d %s end", id, want)) {
				t.Fatalf("table %d: sent %q, want %q", table, got, want)
			}
			id += 2
		}
	}
}
