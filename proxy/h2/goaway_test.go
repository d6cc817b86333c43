package h2

import (
	"errors"
	"strings"
	"testing"
)

// The two stages of a goodbye: until the PING is back everything is served; behind the final GOAWAY nothing new is, and the
// windows and HPACK stay right for what is (RFC 9113 section 6.8).
func TestGoodbye(t *testing.T) {
	c, r := newServer(Config{})
	out := newReader(t)
	p := newScript(true)
	if err := c.Receive(p.get(1).take(), 0); err != nil {
		t.Fatal(err)
	}
	out.sent(c)
	c.Notice()
	c.Notice() // once is enough
	if got := out.sent(c); got != `GOAWAY 2147483647 NO_ERROR `+"\n"+`PING "n: drain"` {
		t.Fatalf("sent %q", got)
	}
	p.post(3).raw(framePing, flagAck, 0, []byte(pingNotice)...)
	r.events()
	if err := c.Receive(p.take(), 0); err != nil {
		t.Fatal(err)
	}
	if got := r.events(); !strings.HasPrefix(got, "head 3") || !strings.HasSuffix(got, "notice acked") {
		t.Fatalf("events %q", got)
	}
	c.Leave()
	c.Leave()
	if got := out.sent(c); got != "GOAWAY 3 NO_ERROR " {
		t.Fatalf("sent %q", got)
	}
	p.post(5, "new=field").data(5, false, 1000).data(5, true, 1000).word(frameWindow, 5, 10).word(frameReset, 5, 8)
	p.headers(3, true, "new=field")
	if err := c.Receive(p.take(), 0); err != nil {
		t.Fatal(err)
	}
	if got := r.events(); got != "trailers 3 new=field" || out.sent(c) != "" {
		t.Errorf("behind the final GOAWAY: events %q", got)
	}
	if c.recv+c.recvBack != 1<<20 {
		t.Errorf("%d of the window are lost", 1<<20-c.recv-c.recvBack)
	}
	for _, id := range []uint32{1, 3} {
		r.streams[id].Head(fieldsOf(":status=200"), true)
	}
	out.sent(c)
	if c.Streams() != 0 || c.Wants() {
		t.Errorf("%d streams, wants %v: it cannot be closed", c.Streams(), c.Wants())
	}
	if err := c.Receive(p.data(9, true, 1).take(), 0); err == nil || !strings.HasPrefix(out.sent(c), "GOAWAY 3 PROTOCOL_ERROR") {
		t.Errorf("a late error must name the same stream: %v", err)
	}
}

func TestPingPong(t *testing.T) {
	c, r := newServer(Config{})
	out := newReader(t)
	out.sent(c)
	if !c.Ping() || c.Ping() {
		t.Error("one PING at a time")
	}
	if got := out.sent(c); got != `PING "a: alive"` {
		t.Errorf("sent %q", got)
	}
	p := newScript(true).raw(framePing, flagAck, 0, []byte("another!")...).raw(framePing, flagAck, 0, []byte(pingNotice)...)
	if err := c.Receive(p.take(), 0); err != nil || r.events() != "settings" {
		t.Errorf("an answer that nobody asked for is taken: %v", err)
	}
	if err := c.Receive(p.raw(framePing, flagAck, 0, []byte(pingAlive)...).take(), 0); err != nil || r.events() != "pong" || !c.Ping() {
		t.Errorf("no Pong: %v", err)
	}
}

func TestAbort(t *testing.T) {
	c, r := newServer(Config{})
	out := newReader(t)
	if err := c.Receive(newScript(true).get(1).take(), 0); err != nil {
		t.Fatal(err)
	}
	out.sent(c)
	s := r.streams[1]
	s.Head(fieldsOf(":status=200"), false)
	s.Write([]byte("never sent"), true)
	c.Abort(SettingsTimeout)
	if got := out.sent(c); got != "HEADERS 1 :status=200\nGOAWAY 1 SETTINGS_TIMEOUT aborted" {
		t.Errorf("sent %q", got)
	}
	if err := c.Receive([]byte("x"), 0); err == nil || c.Err().Reason != Aborted {
		t.Errorf("it reads on: %v", err)
	}
	n := 0
	c.Each(func(*Stream) { n++ })
	if n != 1 {
		t.Errorf("%d streams are left for the owner to end", n)
	}
	c.Release()
	if s.Reset(Cancel); c.Wants() {
		t.Error("it sends on after Release")
	}
}

func openGet(t *testing.T, c *Conn) *Stream {
	t.Helper()
	s, err := c.Open(fieldsOf(getFields...), true)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A client: preface, request with body and trailers, informational and final response.
func TestClient(t *testing.T) {
	c, r := newClient(Config{})
	out := newReader(t)
	s, err := c.Open(fieldsOf(":method=POST", ":scheme=http", ":authority=x", ":path=/", "cookie=secret"), false)
	if err != nil || s.ID() != 1 {
		t.Fatal(err)
	}
	s.Write([]byte("hello"), false)
	s.Trailers(fieldsOf("a=b"))
	want := "SETTINGS 2=0 4=262144 6=65536\nWINDOW_UPDATE 0 983041\n" +
		"HEADERS 1 :method=POST :scheme=http :authority=x :path=/ cookie=secret(never)\nDATA 1 5\nHEADERS 1 a=b end"
	if got := out.sent(c); got != want {
		t.Fatalf("sent %q, want %q", got, want)
	}
	p := newScript(false).headers(1, false, ":status=100").headers(1, false, ":status=200", "content-length=3")
	p.data(1, false, 3).headers(1, true, "c=d")
	if err := c.Receive(p.take(), 0); err != nil {
		t.Fatal(err)
	}
	if got, want := r.events(), "settings\ninterim 1 :status=100\nhead 1 :status=200 content-length=3\ndata 1 3\ntrailers 1 c=d\ndone 1"; got != want {
		t.Errorf("events %q, want %q", got, want)
	}
	if next := openGet(t, c); next.ID() != 3 {
		t.Errorf("the next stream is %d", next.ID())
	}
}

// The streams above the last one of a GOAWAY were certainly not processed; the others go on.
func TestGoAwayOfTheServer(t *testing.T) {
	c, r := newClient(Config{})
	for range 4 {
		openGet(t, c)
	}
	p := newScript(false).raw(frameGoAway, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0)
	if err := c.Receive(p.take(), 0); err != nil || r.events() != "settings\ngoaway 2147483647 NO_ERROR " {
		t.Fatalf("notice: %v", err)
	}
	if _, err := c.Open(fieldsOf(getFields...), true); !errors.Is(err, ErrLeaving) || !c.PeerLeft() {
		t.Errorf("Open behind a notice: %v", err)
	}
	p.raw(frameGoAway, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 'b', 'y', 'e').headers(3, true, ":status=200")
	r.onLast = func(*Stream) { r.note("%d open", c.Streams()) }
	if err := c.Receive(p.take(), 0); err != nil {
		t.Fatal(err)
	}
	got := r.events()
	for _, want := range []string{"reset 5 NO_ERROR local=false unprocessed=true ", "reset 7 NO_ERROR local=false unprocessed=true ",
		"goaway 3 NO_ERROR bye\nhead 3"} {
		if !strings.Contains(got, want) {
			t.Errorf("events %q lack %q", got, want)
		}
	}
	if err := c.Receive(p.raw(frameGoAway, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0).take(), 0); err != nil || r.events() != "goaway 3 NO_ERROR " {
		t.Errorf("a GOAWAY that takes more than the last: %v", err)
	}
	if c.Streams() != 2 { // 3 has not left, since nobody called Append
		t.Errorf("%d streams", c.Streams())
	}
}

// A reset says whether the request may be sent again whatever it was (RFC 9113 section 8.7).
func TestRefusedByTheServer(t *testing.T) {
	for code, want := range map[ErrorCode]string{
		RefusedStream: "reset 1 REFUSED_STREAM local=false unprocessed=true ",
		Cancel:        "reset 1 CANCEL local=false unprocessed=false ",
		0xabcd:        "reset 1 43981 local=false unprocessed=false ",
	} {
		c, r := newClient(Config{})
		openGet(t, c)
		if err := c.Receive(newScript(false).word(frameReset, 1, uint32(code)).take(), 0); err != nil {
			t.Fatal(err)
		}
		if got := r.events(); got != "settings\n"+want || c.Streams() != 0 {
			t.Errorf("events %q, want %q", got, want)
		}
	}
}

// A server that says its whole answer and resets with NO_ERROR wants no more of the request (RFC 9113 section 8.1).
func TestServerAnswersEarly(t *testing.T) {
	c, r := newClient(Config{})
	s, err := c.Open(fieldsOf(":method=POST", ":scheme=http", ":authority=x", ":path=/"), false)
	if err != nil {
		t.Fatal(err)
	}
	s.Write(make([]byte, 1<<20), false)
	p := newScript(false).headers(1, true, ":status=413").word(frameReset, 1, 0)
	if err := c.Receive(p.take(), 0); err != nil {
		t.Fatal(err)
	}
	if got := r.events(); got != "settings\nhead 1 :status=413 end\nreset 1 NO_ERROR local=false unprocessed=false " {
		t.Errorf("events %q", got)
	}
	if c.pool.chunks == 0 {
		t.Error("the queue was not given back")
	}
}

// How many streams a server takes, before and after it said so.
func TestMaxStreamsOfTheServer(t *testing.T) {
	c, _ := newClient(Config{})
	for range earlyStreams {
		openGet(t, c)
	}
	if _, err := c.Open(fieldsOf(getFields...), true); !errors.Is(err, ErrFull) {
		t.Errorf("before SETTINGS: %v", err)
	}
	p := newScript(false)
	if err := c.Receive(p.take(), 0); err != nil {
		t.Fatal(err)
	}
	openGet(t, c) // no limit was given
	if err := c.Receive(p.settings(settingStreams, 1).take(), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Open(fieldsOf(getFields...), true); !errors.Is(err, ErrFull) || c.PeerMaxStreams() != 1 {
		t.Errorf("a limit of 1: %v", err)
	}
	c.nextLocal = maxStreamID + 2
	if _, err := c.Open(fieldsOf(getFields...), true); !errors.Is(err, ErrExhausted) {
		t.Errorf("no IDs: %v", err)
	}
	c.Notice()
	if _, err := c.Open(fieldsOf(getFields...), true); !errors.Is(err, ErrLeaving) {
		t.Errorf("leaving: %v", err)
	}
}

// What a server must not do to a client.
func TestHostileServer(t *testing.T) {
	for name, tc := range map[string]struct {
		script func(p *script)
		want   string // the end of the events, or of the error
	}{
		"PUSH_PROMISE":           {func(p *script) { p.raw(framePush, 4, 1, 0, 0, 0, 2) }, "PROTOCOL_ERROR frame"},
		"ENABLE_PUSH 1":          {func(p *script) { p.settings(settingPush, 1) }, "PROTOCOL_ERROR setting"},
		"a stream of its own":    {func(p *script) { p.headers(2, true, ":status=200") }, "PROTOCOL_ERROR stream_id"},
		"a stream nobody opened": {func(p *script) { p.headers(9, true, ":status=200") }, "PROTOCOL_ERROR stream_id"},
		"DATA before the head":   {func(p *script) { p.data(1, true, 1) }, "PROTOCOL_ERROR local=true unprocessed=false order"},
		"DATA behind a 1xx":      {func(p *script) { p.headers(1, false, ":status=100").data(1, true, 1) }, "PROTOCOL_ERROR local=true unprocessed=false order"},
		"a second head":          {func(p *script) { p.headers(1, false, ":status=200").headers(1, true, ":status=200") }, "PROTOCOL_ERROR local=true unprocessed=false pseudo"},
		"a list above the limit": {func(p *script) { p.headers(1, false, ":status=200", "a="+strings.Repeat("v", 15000)) }, "CANCEL local=true unprocessed=false header_list"},
		"CONTINUATION for ever": {func(p *script) {
			p.raw(frameHeaders, 0, 1)
			repeat(65, func() { p.raw(frameContinuation, 0, 1, 0x88) })
		}, "ENHANCE_YOUR_CALM block"},
		"SETTINGS for ever":         {func(p *script) { repeat(300, func() { p.settings(settingFrame, 1<<24-1) }) }, "ENHANCE_YOUR_CALM flood"}, // CVE-2026-33814
		"PING for ever":             {func(p *script) { repeat(2000, func() { p.raw(framePing, 0, 0, make([]byte, 8)...) }) }, "ENHANCE_YOUR_CALM unread"},
		"a frame above the limit":   {func(p *script) { p.headers(1, false, ":status=200").data(1, true, 16385) }, "FRAME_SIZE_ERROR frame_size"},
		"more than the window":      {func(p *script) { p.headers(1, false, ":status=200"); repeat(5, func() { p.data(1, false, 16000) }) }, "FLOW_CONTROL_ERROR local=true unprocessed=false window"},
		"DATA behind END_STREAM":    {func(p *script) { p.get(1) }, "PROTOCOL_ERROR local=true unprocessed=false pseudo"},
		"the first is not SETTINGS": {func(p *script) { p.Reset(); p.raw(framePing, 0, 0, make([]byte, 8)...) }, "PROTOCOL_ERROR preface"},
		"it speaks HTTP/1.1":        {func(p *script) { p.Reset(); p.WriteString("HTTP/1.1 400 Bad Request\r\n\r\n") }, "PROTOCOL_ERROR preface"},
	} {
		c, r := newClient(Config{HeaderList: 10000, StreamWindow: 65535})
		openGet(t, c)
		p := newScript(false)
		tc.script(p)
		err := c.Receive(p.take(), 0)
		got := r.events()
		if e, ok := err.(*ConnError); ok {
			got = e.Code.String() + " " + string(e.Reason)
		}
		if !strings.HasSuffix(got, tc.want) {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func repeat(n int, f func()) {
	for range n {
		f()
	}
}
