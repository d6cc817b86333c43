package h2

import (
	"strings"
	"testing"
)

// rules holds what a client may send after its preface and SETTINGS, and what it gets. "" is nothing: the frame is
// legal or ignored. RST_STREAM 1 X is a stream error, GOAWAY X reason an error of the connection.
var rules = []struct {
	rfc, name string
	script    func(p *script)
	want      string
}{
	{"4.1", "an unknown frame", func(p *script) { p.raw(0xee, 0xff, 7, 1, 2, 3).raw(0xee, 0, 0) }, ""},
	{"4.2", "a frame above MAX_FRAME_SIZE", func(p *script) { p.post(1).data(1, false, 16385) }, "GOAWAY FRAME_SIZE_ERROR frame_size"},
	{"4.2", "unknown and above MAX_FRAME_SIZE", func(p *script) { p.raw(0xee, 0, 0, make([]byte, 16385)...) }, "GOAWAY FRAME_SIZE_ERROR frame_size"},
	{"4.3", "a block that cannot be decoded", func(p *script) { p.raw(frameHeaders, 5, 1, 0x80) }, "GOAWAY COMPRESSION_ERROR compression"},
	{"4.3", "a frame within a block", func(p *script) { p.raw(frameHeaders, 1, 1, p.block(getFields...)...).data(1, true, 1) }, "GOAWAY PROTOCOL_ERROR frame"},
	{"4.3", "an unknown frame within a block", func(p *script) { p.raw(frameHeaders, 1, 1, p.block(getFields...)...).raw(0xee, 0, 0) }, "GOAWAY PROTOCOL_ERROR frame"},
	{"4.3", "HEADERS of another stream within a block", func(p *script) { p.raw(frameHeaders, 1, 1, p.block(getFields...)...).get(3) }, "GOAWAY PROTOCOL_ERROR frame"},
	{"6.10", "CONTINUATION of another stream", func(p *script) {
		p.raw(frameHeaders, 1, 1, p.block(getFields...)...).raw(frameContinuation, 4, 3)
	}, "GOAWAY PROTOCOL_ERROR frame"},
	{"6.10", "CONTINUATION", func(p *script) {
		b := p.block(getFields...)
		p.raw(frameHeaders, 1, 1, b[:2]...).raw(frameContinuation, 0, 1, b[2]).raw(frameContinuation, 4, 1, b[3:]...)
	}, ""},
	{"6.10", "CONTINUATION after the end of a block", func(p *script) { p.get(1).raw(frameContinuation, 4, 1) }, "GOAWAY PROTOCOL_ERROR frame"},
	{"5.1", "DATA on an idle stream", func(p *script) { p.data(1, true, 1) }, "GOAWAY PROTOCOL_ERROR stream_id"},
	{"5.1", "RST_STREAM on an idle stream", func(p *script) { p.word(frameReset, 1, 8) }, "GOAWAY PROTOCOL_ERROR stream_id"},
	{"5.1", "WINDOW_UPDATE on an idle stream", func(p *script) { p.word(frameWindow, 1, 8) }, "GOAWAY PROTOCOL_ERROR stream_id"},
	{"5.1", "PRIORITY on an idle stream", func(p *script) { p.raw(framePriority, 0, 1, 0, 0, 0, 0, 1) }, ""},
	{"5.1", "DATA after the end", func(p *script) { p.get(1).data(1, true, 1) }, "RST_STREAM 1 STREAM_CLOSED"},
	{"5.1", "HEADERS after the end", func(p *script) { p.get(1).get(1) }, "RST_STREAM 1 STREAM_CLOSED"},
	{"5.1", "WINDOW_UPDATE, PRIORITY, RST_STREAM after the end", func(p *script) {
		p.get(1).word(frameWindow, 1, 1).raw(framePriority, 0, 1, 0, 0, 0, 0, 1).word(frameReset, 1, 8).word(frameReset, 1, 8).word(frameWindow, 1, 1)
	}, ""},
	{"5.1", "DATA after RST_STREAM", func(p *script) { p.post(1).word(frameReset, 1, 8).data(1, true, 1) }, "RST_STREAM 1 STREAM_CLOSED"},
	{"5.1", "HEADERS after RST_STREAM", func(p *script) { p.post(1).word(frameReset, 1, 8).get(1) }, "RST_STREAM 1 STREAM_CLOSED"},
	{"5.1.1", "an even stream", func(p *script) { p.get(2) }, "GOAWAY PROTOCOL_ERROR stream_id"},
	{"5.1.1", "a stream below the last", func(p *script) { p.get(5).get(3) }, "GOAWAY PROTOCOL_ERROR stream_id"},
	{"5.1.1", "DATA on a stream that was passed over", func(p *script) { p.get(5).data(3, true, 1) }, "GOAWAY PROTOCOL_ERROR stream_id"},
	{"6.1", "DATA on stream 0", func(p *script) { p.data(0, true, 1) }, "GOAWAY PROTOCOL_ERROR frame"},
	{"6.1", "padding as long as the payload", func(p *script) { p.post(1).raw(frameData, 8, 1, 3, 0, 0) }, "GOAWAY PROTOCOL_ERROR frame"},
	{"6.1", "padding fills the payload", func(p *script) { p.post(1).raw(frameData, 8, 1, 2, 0, 0) }, ""},
	{"6.1", "padded and empty", func(p *script) { p.post(1).raw(frameData, 8, 1) }, "GOAWAY FRAME_SIZE_ERROR frame_size"},
	{"6.2", "HEADERS on stream 0", func(p *script) { p.get(0) }, "GOAWAY PROTOCOL_ERROR frame"},
	{"6.2", "padding above the payload", func(p *script) { p.raw(frameHeaders, 0xd, 1, 5, 0, 0) }, "GOAWAY PROTOCOL_ERROR frame"},
	{"6.2", "too short for its priority", func(p *script) { p.raw(frameHeaders, 0x25, 1, 0, 0, 0) }, "GOAWAY FRAME_SIZE_ERROR frame_size"},
	{"6.2", "with priority and padding", func(p *script) {
		p.raw(frameHeaders, 0x2d, 1, append(append([]byte{2, 0, 0, 0, 3, 16}, p.block(getFields...)...), 0, 0)...)
	}, ""},
	{"7540-5.3.1", "HEADERS that depend on themselves", func(p *script) {
		p.raw(frameHeaders, 0x25, 1, append([]byte{0, 0, 0, 1, 16}, p.block(getFields...)...)...)
	}, "RST_STREAM 1 PROTOCOL_ERROR"},
	{"7540-5.3.1", "a stream that depends on itself", func(p *script) { p.post(1).raw(framePriority, 0, 1, 0, 0, 0, 1, 1) }, "RST_STREAM 1 PROTOCOL_ERROR"},
	{"7540-5.3.1", "an idle stream that depends on itself", func(p *script) { p.raw(framePriority, 0, 1, 0, 0, 0, 1, 1) }, "GOAWAY PROTOCOL_ERROR frame"},
	{"6.3", "PRIORITY on stream 0", func(p *script) { p.raw(framePriority, 0, 0, 0, 0, 0, 3, 1) }, "GOAWAY PROTOCOL_ERROR frame"},
	{"6.3", "PRIORITY of four bytes", func(p *script) { p.post(1).raw(framePriority, 0, 1, 0, 0, 0, 3) }, "RST_STREAM 1 FRAME_SIZE_ERROR"},
	{"6.3", "PRIORITY of no bytes", func(p *script) { p.post(1).raw(framePriority, 0, 1).get(3) }, "RST_STREAM 1 FRAME_SIZE_ERROR"},
	{"6.3", "PRIORITY of four bytes without a stream", func(p *script) { p.raw(framePriority, 0, 1, 0, 0, 0, 3) }, "GOAWAY FRAME_SIZE_ERROR frame_size"},
	{"6.4", "RST_STREAM on stream 0", func(p *script) { p.word(frameReset, 0, 8) }, "GOAWAY PROTOCOL_ERROR frame"},
	{"6.4", "RST_STREAM of three bytes", func(p *script) { p.post(1).raw(frameReset, 0, 1, 0, 0, 0) }, "GOAWAY FRAME_SIZE_ERROR frame_size"},
	{"6.5", "SETTINGS on a stream", func(p *script) { p.raw(frameSettings, 0, 1) }, "GOAWAY PROTOCOL_ERROR frame"},
	{"6.5", "SETTINGS of five bytes", func(p *script) { p.raw(frameSettings, 0, 0, 0, 1, 0, 0, 0) }, "GOAWAY FRAME_SIZE_ERROR frame_size"},
	{"6.5", "SETTINGS ack with a payload", func(p *script) { p.raw(frameSettings, 1, 0, 0, 1, 0, 0, 0, 0) }, "GOAWAY FRAME_SIZE_ERROR frame_size"},
	{"6.5.2", "an unknown setting", func(p *script) { p.settings(0xabcd, 7) }, "SETTINGS ack"},
	{"6.5.2", "ENABLE_PUSH 2", func(p *script) { p.settings(settingPush, 2) }, "GOAWAY PROTOCOL_ERROR setting"},
	{"6.5.2", "ENABLE_PUSH 1", func(p *script) { p.settings(settingPush, 1) }, "SETTINGS ack"},
	{"6.5.2", "INITIAL_WINDOW_SIZE 2^31", func(p *script) { p.settings(settingWindow, 1<<31) }, "GOAWAY FLOW_CONTROL_ERROR setting"},
	{"6.5.2", "MAX_FRAME_SIZE 16383", func(p *script) { p.settings(settingFrame, 16383) }, "GOAWAY PROTOCOL_ERROR setting"},
	{"6.5.2", "MAX_FRAME_SIZE 2^24", func(p *script) { p.settings(settingFrame, 1<<24) }, "GOAWAY PROTOCOL_ERROR setting"},
	{"6.5.2", "MAX_FRAME_SIZE 2^24-1", func(p *script) { p.settings(settingFrame, 1<<24-1) }, "SETTINGS ack"},
	{"8441-3", "ENABLE_CONNECT_PROTOCOL 2", func(p *script) { p.settings(settingConnect, 2) }, "GOAWAY PROTOCOL_ERROR setting"},
	{"8441-3", "ENABLE_CONNECT_PROTOCOL taken back", func(p *script) { p.settings(settingConnect, 1, settingConnect, 0) }, "GOAWAY PROTOCOL_ERROR setting"},
	{"6.6", "PUSH_PROMISE", func(p *script) { p.get(1).raw(framePush, 4, 1, 0, 0, 0, 2) }, "GOAWAY PROTOCOL_ERROR frame"},
	{"6.7", "PING", func(p *script) { p.raw(framePing, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8) }, `PING ack "\x01\x02\x03\x04\x05\x06\a\b"`},
	{"6.7", "PING ack that nobody asked for", func(p *script) { p.raw(framePing, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8) }, ""},
	{"6.7", "PING on a stream", func(p *script) { p.raw(framePing, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8) }, "GOAWAY PROTOCOL_ERROR frame"},
	{"6.7", "PING of seven bytes", func(p *script) { p.raw(framePing, 0, 0, 1, 2, 3, 4, 5, 6, 7) }, "GOAWAY FRAME_SIZE_ERROR frame_size"},
	{"6.8", "GOAWAY on a stream", func(p *script) { p.raw(frameGoAway, 0, 1, make([]byte, 8)...) }, "GOAWAY PROTOCOL_ERROR frame"},
	{"6.8", "GOAWAY of seven bytes", func(p *script) { p.raw(frameGoAway, 0, 0, make([]byte, 7)...) }, "GOAWAY FRAME_SIZE_ERROR frame_size"},
	{"6.8", "GOAWAY", func(p *script) { p.raw(frameGoAway, 0, 0, make([]byte, 12)...) }, ""},
	{"6.9", "WINDOW_UPDATE of three bytes", func(p *script) { p.raw(frameWindow, 0, 0, 0, 0, 1) }, "GOAWAY FRAME_SIZE_ERROR frame_size"},
	{"6.9", "WINDOW_UPDATE of 0", func(p *script) { p.word(frameWindow, 0, 0) }, "GOAWAY PROTOCOL_ERROR window"},
	{"6.9", "WINDOW_UPDATE of 0 on a stream", func(p *script) { p.get(1).word(frameWindow, 1, 0) }, "RST_STREAM 1 PROTOCOL_ERROR"},
	{"6.9", "WINDOW_UPDATE of 0 but for the reserved bit", func(p *script) { p.word(frameWindow, 0, 1<<31) }, "GOAWAY PROTOCOL_ERROR window"},
	{"6.9.1", "a window above 2^31-1", func(p *script) { p.word(frameWindow, 0, maxWindow-firstWindow).word(frameWindow, 0, 1) }, "GOAWAY FLOW_CONTROL_ERROR window"},
	{"6.9.1", "a stream's window above 2^31-1", func(p *script) { p.get(1).word(frameWindow, 1, maxWindow) }, "RST_STREAM 1 FLOW_CONTROL_ERROR"},
	{"6.9.2", "SETTINGS overflow a stream's window", func(p *script) {
		p.get(1).word(frameWindow, 1, maxWindow-firstWindow).settings(settingWindow, firstWindow+1)
	}, "GOAWAY FLOW_CONTROL_ERROR window"},
	{"8.1", "a second head without END_STREAM", func(p *script) { p.post(1).headers(1, false, "a=b") }, "RST_STREAM 1 PROTOCOL_ERROR"},
	{"8.1", "trailers with a pseudo-field", func(p *script) { p.post(1).headers(1, true, ":path=/") }, "RST_STREAM 1 PROTOCOL_ERROR"},
	{"8.1", "trailers with Content-Length", func(p *script) { p.post(1).headers(1, true, "content-length=0") }, "RST_STREAM 1 PROTOCOL_ERROR"},
	{"8.1", "trailers with Host", func(p *script) { p.post(1).headers(1, true, "host=x") }, "RST_STREAM 1 PROTOCOL_ERROR"},
	{"8.1", "trailers with an upper case name", func(p *script) { p.post(1).headers(1, true, "A=b") }, "RST_STREAM 1 PROTOCOL_ERROR"},
	{"8.1", "empty trailers", func(p *script) { p.post(1).headers(1, true) }, ""},
	{"7541-2.3.3", "an index of 0", func(p *script) { p.raw(frameHeaders, 5, 1, 0x80) }, "GOAWAY COMPRESSION_ERROR compression"},
	{"7541-2.3.3", "an index beyond the table", func(p *script) { p.raw(frameHeaders, 5, 1, 0xc6) }, "GOAWAY COMPRESSION_ERROR compression"},
	{"7541-4.2", "a size update behind a field", func(p *script) { p.raw(frameHeaders, 5, 1, 0x82, 0x20) }, "GOAWAY COMPRESSION_ERROR compression"},
	{"7541-4.2", "three size updates", func(p *script) { p.raw(frameHeaders, 5, 1, 0x20, 0x20, 0x20, 0x82) }, "GOAWAY COMPRESSION_ERROR compression"},
	{"7541-4.2", "two size updates", func(p *script) {
		p.raw(frameHeaders, 5, 1, append([]byte{0x20, 0x3f, 0xe1, 0x1f}, p.block(getFields...)...)...)
	}, ""},
	{"7541-4.2", "two size updates with a table that stays", func(p *script) {
		p.raw(frameHeaders, 5, 1, append(p.block(getFields...), 0x40, 1, 'a', 1, 'b')...)
		p.raw(frameHeaders, 5, 3, 0x3f, 0x45, 0x3f, 0xe1, 0x1f, 0x82, 0x86, 0x84, 0xbf, 0xbe)
	}, ""},
	{"7541-4.2", "a size update alone", func(p *script) { p.post(1).raw(frameHeaders, 5, 1, 0x20) }, ""},
	{"7541-4.2", "a size update that is cut", func(p *script) { p.raw(frameHeaders, 5, 1, 0x3f, 0xe1) }, "GOAWAY COMPRESSION_ERROR compression"},
	{"7541-4.2", "a size update above the limit", func(p *script) { p.raw(frameHeaders, 5, 1, 0x3f, 0xe2, 0x1f) }, "GOAWAY COMPRESSION_ERROR compression"},
	{"7541-5.1", "an endless integer", func(p *script) {
		p.raw(frameHeaders, 5, 1, 0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0)
	}, "GOAWAY COMPRESSION_ERROR compression"},
	{"7541-5.2", "Huffman padding of more than seven bits", func(p *script) {
		p.raw(frameHeaders, 5, 1, 0, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x84, 0x49, 0x50, 0x9f, 0xff)
	}, "GOAWAY COMPRESSION_ERROR compression"},
	{"7541-6", "a block that is cut", func(p *script) { p.raw(frameHeaders, 5, 1, 0x82, 0x40, 5, 'a') }, "GOAWAY COMPRESSION_ERROR compression"},
}

func TestFrameRules(t *testing.T) {
	for _, tc := range rules {
		c, _ := newServer(Config{})
		out := newReader(t)
		out.sent(c)
		p := newScript(true)
		tc.script(p)
		err := c.Receive(p.take(), 0)
		got := strings.TrimPrefix(out.sent(c), "SETTINGS ack")
		got = strings.TrimPrefix(got, "\n")
		reason, broken := strings.CutPrefix(tc.want, "GOAWAY ")
		if broken {
			at := strings.LastIndex(got, "GOAWAY ")
			if e, ok := err.(*ConnError); !ok || at < 0 || reason != e.Code.String()+" "+string(e.Reason) || e.Detail == "" ||
				!strings.HasSuffix(got, " "+reason) {
				t.Errorf("%s: %s: error %v, sent %q, want %q", tc.rfc, tc.name, err, got, tc.want)
			}
			continue
		}
		if err != nil || got != tc.want {
			t.Errorf("%s: %s: error %v, sent %q, want %q", tc.rfc, tc.name, err, got, tc.want)
		}
	}
}

// Frames on a stream that both sides have ended, and on one that we have reset, which the peer may not know yet.
func TestFramesOnClosedStreams(t *testing.T) {
	for _, tc := range []struct {
		name  string
		reset bool
		late  func(p *script)
		want  string
	}{
		{"DATA after both ends", false, func(p *script) { p.data(1, true, 1) }, "GOAWAY 1 STREAM_CLOSED stream_id"},
		{"HEADERS after both ends", false, func(p *script) { p.get(1) }, "GOAWAY 1 STREAM_CLOSED stream_id"},
		{"the rest after both ends", false, func(p *script) { p.word(frameReset, 1, 8).word(frameWindow, 1, 1) }, ""},
		{"all that may be on its way after our reset", true, func(p *script) {
			p.data(1, false, 1000).headers(1, true, "a=b").word(frameWindow, 1, 1).word(frameReset, 1, 8)
		}, ""},
	} {
		c, r := newServer(Config{})
		out := newReader(t)
		out.sent(c)
		p := newScript(true)
		if tc.reset {
			p.post(1)
		} else {
			p.get(1)
		}
		if err := c.Receive(p.take(), 0); err != nil {
			t.Fatal(err)
		}
		if tc.reset {
			r.streams[1].Reset(Cancel)
		} else {
			r.streams[1].Head(fieldsOf(":status=200"), true)
		}
		out.sent(c)
		tc.late(p)
		err := c.Receive(p.take(), 0)
		if got := out.sent(c); got != tc.want || (err != nil) != (tc.want != "") {
			t.Errorf("%s: %v, sent %q, want %q", tc.name, err, got, tc.want)
		}
		if err == nil && c.recv+c.recvBack != 1<<20 {
			t.Errorf("%s: %d of the window are lost", tc.name, 1<<20-c.recv-c.recvBack)
		}
	}
}

// What is too long ago is judged as if the stream had been reset: a late frame costs its sender a reset at most.
func TestForgottenStreams(t *testing.T) {
	c, r := newServer(Config{})
	out := newReader(t)
	p := newScript(true)
	for id := uint32(1); id < 4*closedMemory; id += 2 {
		if err := c.Receive(p.get(id).take(), 0); err != nil {
			t.Fatal(err)
		}
		r.streams[id].Head(fieldsOf(":status=200"), true)
		out.sent(c)
	}
	if err := c.Receive(p.data(1, true, 1).get(3).take(), 0); err != nil {
		t.Fatal(err)
	}
	if got := out.sent(c); got != "RST_STREAM 1 STREAM_CLOSED\nRST_STREAM 3 STREAM_CLOSED" {
		t.Errorf("sent %q", got)
	}
}
