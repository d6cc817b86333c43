package h2

import (
	"strings"
	"testing"
)

// A server says its settings, answers a GET and a POST, and each stream ends with Done when its answer has left.
func TestServer(t *testing.T) {
	c, r := newServer(Config{})
	out := newReader(t)
	if got, want := out.sent(c), "SETTINGS 3=128 4=262144 6=65536\nWINDOW_UPDATE 0 983041"; got != want {
		t.Fatalf("first: %q, want %q", got, want)
	}
	p := newScript(true).get(1).post(3, "content-length=5", "cookie=a=1", "x=y", "cookie=b=2").data(3, true, 5)
	if err := c.Receive(p.take(), 0); err != nil {
		t.Fatal(err)
	}
	if got, want := r.events(), strings.Join([]string{
		"settings",
		"head 1 :method=GET :scheme=http :authority=x :path=/ end",
		"head 3 :method=POST :scheme=http :authority=x :path=/ content-length=5 cookie=a=1; b=2 x=y",
		"data 3 5 end"}, "\n"); got != want {
		t.Fatalf("events:\n%s\nwant:\n%s", got, want)
	}
	one, three := r.streams[1], r.streams[3]
	if three.Length() != 5 || one.Length() != -1 || !three.Received() {
		t.Errorf("lengths %d, %d", one.Length(), three.Length())
	}
	three.Interim(fieldsOf(":status=103", "link=</a>"))
	three.Head(fieldsOf(":status=200", "Content-Type=text/plain", "set-cookie=secret"), false)
	three.Write([]byte("hello"), false)
	three.Trailers(fieldsOf("grpc-status=0"))
	one.Head(fieldsOf(":status=204"), true)
	if r.events() != "" {
		t.Error("an event before the answer left")
	}
	if got, want := out.sent(c), strings.Join([]string{
		"SETTINGS ack",
		"HEADERS 3 :status=103 link=</a>",
		"HEADERS 3 :status=200 content-type=text/plain set-cookie=secret(never)",
		"HEADERS 1 :status=204 end",
		"DATA 3 5",
		"HEADERS 3 grpc-status=0 end"}, "\n"); got != want {
		t.Fatalf("sent:\n%s\nwant:\n%s", got, want)
	}
	if got := r.events(); got != "done 1\ndone 3" || c.Streams() != 0 {
		t.Errorf("in the end %q, %d streams", got, c.Streams())
	}
}

// The same, byte by byte.
func TestServerByteByByte(t *testing.T) {
	whole, _ := newServer(Config{})
	single, r := newServer(Config{})
	p := newScript(true).get(1).post(3).data(3, true, 5).take()
	if err := whole.Receive(p, 0); err != nil {
		t.Fatal(err)
	}
	for i := range p {
		if err := single.Receive(p[i:i+1], 0); err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	if n := strings.Count(r.events(), "data 3"); n != 5 {
		t.Errorf("%d pieces of data, want 5: nothing is gathered", n)
	}
}

// Partial is what a header timeout looks at: within a head or a control frame, and not between frames, nor in a body.
func TestPartial(t *testing.T) {
	c, _ := newServer(Config{})
	p := newScript(true)
	whole := map[int]bool{0: true, len(clientOpens): true}
	inBody := map[int]bool{}
	mark := func() { whole[p.Len()] = true }
	mark()
	p.raw(frameHeaders, 0, 1, p.block(":method=POST")...) // the block goes on
	from := p.Len()
	p.raw(frameContinuation, flagEndHeaders, 1, p.block(getFields[1:]...)...)
	mark()
	p.data(1, false, 5)
	mark()
	for i := range 5 {
		inBody[p.Len()-5+i] = true
	}
	p.raw(framePing, 0, 0, make([]byte, 8)...)
	mark()
	for i := range p.Bytes() {
		if got, want := c.Partial(), !whole[i] && !inBody[i]; got != want && i != 0 {
			t.Errorf("before byte %d (the block breaks at %d): Partial is %v", i, from, got)
		}
		if err := c.Receive(p.Bytes()[i:i+1], 0); err != nil {
			t.Fatal(err)
		}
	}
	if c.Partial() || !c.Ready() {
		t.Error("in the end something is not whole")
	}
}

// Another protocol is found at its first wrong byte (RFC 9113 section 3.4).
func TestPreface(t *testing.T) {
	for _, in := range []string{"G", "PRI * HTTP/1", "PRI * HTTP/2.0\r\n\r\nSX", "\x16\x03\x01"} {
		c, _ := newServer(Config{})
		err := c.Receive([]byte(in), 0)
		if e, ok := err.(*ConnError); !ok || e.Reason != BadPreface || e.Code != ProtocolError {
			t.Errorf("%q: %v", in, err)
		}
		if again := c.Receive([]byte(clientOpens), 0); again != err {
			t.Errorf("%q: a second call says %v", in, again)
		}
	}
	c, r := newServer(Config{})
	if err := c.Receive([]byte(clientOpens[:20]), 0); err != nil {
		t.Fatal(err)
	}
	if c.Ready() || !c.Partial() {
		t.Error("half a preface is taken for a whole one")
	}
	err := c.Receive(append([]byte(clientOpens[20:]), appendPing(nil, []byte("12345678"), 0)...), 0)
	if e, ok := err.(*ConnError); !ok || e.Reason != BadPreface || r.events() != "" {
		t.Errorf("PING before SETTINGS: %v", err)
	}
}

// An early answer: what the client still sends is dropped and given back, and the stream is reset with
// NO_ERROR behind the answer (RFC 9113 section 8.1).
func TestDiscard(t *testing.T) {
	c, r := newServer(Config{StreamWindow: 1000, ConnWindow: 65535})
	out := newReader(t)
	out.sent(c)
	r.onHead = func(s *Stream, _ []Field, _ bool) {
		s.Head(fieldsOf(":status=403"), false)
		s.Discard()
		s.Write([]byte("no"), true)
	}
	p := newScript(true).post(1).data(1, false, 900).data(1, false, 900)
	p.fr.WriteSettingsAck()
	p.data(1, true, 10)
	p.Truncate(p.Len() - 19) // the last one comes later
	if err := c.Receive(p.take(), 0); err != nil {
		t.Fatal(err)
	}
	want := "SETTINGS ack\nHEADERS 1 :status=403\nDATA 1 2 end\nRST_STREAM 1 NO_ERROR"
	if got := out.sent(c); got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
	if got := r.events(); !strings.HasSuffix(got, "done 1") || strings.Contains(got, "data") {
		t.Errorf("events %q", got)
	}
	if err := c.Receive(p.data(1, true, 500).take(), 0); err != nil || c.recv+c.recvBack != 65535 {
		t.Errorf("late data: %v, %d of the window are lost", err, 65535-c.recv-c.recvBack)
	}
}

// What nobody will consume is given back when its stream is given up.
func TestDiscardGivesBack(t *testing.T) {
	c, r := newServer(Config{ConnWindow: firstWindow})
	out := newReader(t)
	if err := c.Receive(newScript(true).post(1).data(1, false, 10_000).take(), 0); err != nil {
		t.Fatal(err)
	}
	out.sent(c)
	s := r.streams[1]
	s.Discard()
	s.Discard()
	if c.recv+c.recvBack != firstWindow || s.Unconsumed() != 0 {
		t.Errorf("%d of the window are lost", firstWindow-c.recv-c.recvBack)
	}
	s.Head(fieldsOf(":status=200"), true)
	if got := out.sent(c); got != "HEADERS 1 :status=200 end\nRST_STREAM 1 NO_ERROR" || !strings.HasSuffix(r.events(), "done 1") {
		t.Errorf("sent %q", got)
	}
}

// Above the limits of a list the caller may answer 431, and HPACK goes on.
func TestTooLarge(t *testing.T) {
	for name, fields := range map[string][]string{
		"bytes":  {"a=" + strings.Repeat("v", 5000), "b=" + strings.Repeat("v", 5000)},
		"fields": strings.Split(strings.Repeat("f=1,", 200)+"g=1", ","),
		"crumbs": strings.Split(strings.Repeat("cookie=1,", 300)+"g=1", ","),
	} {
		limit := 8 << 10
		if name == "crumbs" {
			limit = 64 << 10
		}
		c, r := newServer(Config{HeaderList: limit})
		out := newReader(t)
		out.sent(c)
		p := newScript(true).post(1, fields...).data(1, false, 100).get(3)
		if err := c.Receive(p.take(), 0); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := r.events(); got != "settings\ntoo large 1\nhead 3 :method=GET :scheme=http :authority=x :path=/ end" {
			t.Errorf("%s: events %q", name, got)
		}
		r.streams[1].Head(fieldsOf(":status=431"), true)
		if got := out.sent(c); got != "SETTINGS ack\nHEADERS 1 :status=431 end\nRST_STREAM 1 NO_ERROR" {
			t.Errorf("%s: sent %q", name, got)
		}
	}
}

// 200 fields of a browser's cookies are one field.
func TestManyCrumbsAreOneField(t *testing.T) {
	c, r := newServer(Config{})
	p := newScript(true).post(1, strings.Split(strings.Repeat("cookie=abc=def,", 200)+"x=1", ",")...)
	if err := c.Receive(p.take(), 0); err != nil {
		t.Fatal(err)
	}
	want := " cookie=" + strings.TrimSuffix(strings.Repeat("abc=def; ", 200), "; ") + " x=1"
	if got := r.events(); !strings.HasSuffix(got, want) {
		t.Errorf("events %q", got)
	}
}

// More streams than MaxStreams are refused in the way that lets the client send them again.
func TestMaxStreams(t *testing.T) {
	c, r := newServer(Config{MaxStreams: 2})
	out := newReader(t)
	out.sent(c)
	if err := c.Receive(newScript(true).get(1).get(3).get(5).take(), 0); err != nil {
		t.Fatal(err)
	}
	if got := out.sent(c); got != "SETTINGS ack\nRST_STREAM 5 REFUSED_STREAM" {
		t.Errorf("sent %q", got)
	}
	if !strings.HasSuffix(r.events(), "refused 5 streams") || c.Streams() != 2 {
		t.Errorf("%d streams", c.Streams())
	}
	r.streams[1].Reset(Cancel)
	if got := out.sent(c); got != "RST_STREAM 1 CANCEL" || c.Streams() != 1 || r.events() != "" {
		t.Errorf("sent %q, %d streams", got, c.Streams())
	}
}
