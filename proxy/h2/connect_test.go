package h2

import (
	"strings"
	"testing"
)

var webSocket = []string{":method=CONNECT", ":protocol=websocket", ":scheme=https", ":path=/", ":authority=x"}

// A tunnel has no length, whatever the answer to CONNECT says (RFC 9110 section 9.3.6).
func TestTunnel(t *testing.T) {
	c, r := newClient(Config{})
	p := newScript(false).settings(settingConnect, 1)
	if err := c.Receive(p.take(), 0); err != nil || !c.PeerExtendedConnect() {
		t.Fatal(err)
	}
	s, err := c.Open(fieldsOf(webSocket...), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Receive(p.headers(1, false, ":status=200", "content-length=1").data(1, false, 100).take(), 0); err != nil {
		t.Fatal(err)
	}
	if got := r.events(); !strings.HasSuffix(got, "data 1 100") || s.Length() != -1 {
		t.Errorf("events %q", got)
	}
}

// What a tunnel is made of follows the yes, whatever its status and its length say, and ends with END_STREAM.
func TestTunnelAnswers(t *testing.T) {
	for status, tunnel := range map[string]bool{"200": true, "204": true, "299": true, "304": false, "403": false} {
		c, r := newClient(Config{})
		s, err := c.Open(fieldsOf(webSocket...), false)
		if err != nil {
			t.Fatal(err)
		}
		p := newScript(false).headers(1, false, ":status="+status, "content-length=1").data(1, false, 100)
		if err := c.Receive(p.take(), 0); err != nil {
			t.Fatal(err)
		}
		if got := r.events(); strings.HasSuffix(got, "data 1 100") != tunnel {
			t.Errorf("%s: %q", status, got)
		}
		if !tunnel {
			continue
		}
		s.Write([]byte("mine"), true)
		drain(c)
		if err := c.Receive(p.data(1, true, 0).take(), 0); err != nil {
			t.Fatal(err)
		}
		if got := r.events(); !strings.HasSuffix(got, "data 1 0 end\ndone 1") {
			t.Errorf("%s: %q", status, got)
		}
	}
}

// drain sends all that there is.
func drain(c *Conn) (out []byte) {
	for c.Wants() {
		out = c.Append(out, 1<<16)
	}
	return out
}

// Nothing but DATA belongs to a tunnel (RFC 9113 section 8.5): trailers end its stream, on both halves.
func TestTunnelHasNoTrailers(t *testing.T) {
	server, sr := newServer(Config{ExtendedConnect: true})
	p := newScript(true).headers(1, false, webSocket...).headers(1, true, "x=1")
	if err := server.Receive(p.take(), 0); err != nil {
		t.Fatal(err)
	}
	client, cr := newClient(Config{})
	if _, err := client.Open(fieldsOf(webSocket...), false); err != nil {
		t.Fatal(err)
	}
	p = newScript(false).headers(1, false, ":status=200").headers(1, true, "x=1")
	if err := client.Receive(p.take(), 0); err != nil {
		t.Fatal(err)
	}
	for half, got := range map[string]string{"server": sr.events(), "client": cr.events()} {
		if !strings.Contains(got, "reset 1") || !strings.Contains(got, string(MalformedTrailers)) {
			t.Errorf("%s: %q", half, got)
		}
	}
}

// The owner of a tunnel hears each time that its queue has become empty, and that of another stream does not.
func TestTunnelTellsWhenItIsEmpty(t *testing.T) {
	for fields, want := range map[string]int{strings.Join(webSocket, " "): 2, strings.Join(getFields, " "): 0} {
		c, r := newServer(Config{ExtendedConnect: true})
		rooms := 0
		r.onRoom = func(s *Stream) {
			if s.Queued() == 0 {
				rooms++
			}
		}
		r.onHead = func(s *Stream, _ []Field, _ bool) { s.Head(fieldsOf(":status=200"), false) }
		p := newScript(true).headers(1, false, strings.Fields(fields)...)
		if err := c.Receive(p.take(), 0); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			r.streams[1].Write([]byte("a few"), false)
			drain(c)
		}
		if rooms != want {
			t.Errorf("%s: told %d times, want %d", fields, rooms, want)
		}
	}
}

// A server that takes WebSockets says so, and another does not.
func TestExtendedConnectIsAnnounced(t *testing.T) {
	for _, offers := range []bool{true, false} {
		server, _ := newServer(Config{ExtendedConnect: offers})
		client, _ := newClient(Config{})
		if err := client.Receive(drain(server), 0); err != nil || client.PeerExtendedConnect() != offers {
			t.Errorf("offers %v: the client knows of %v, %v", offers, client.PeerExtendedConnect(), err)
		}
	}
}
