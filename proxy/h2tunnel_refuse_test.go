package proxy

import (
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/proxy/h2"
)

// What an upstream says instead of yes goes to the client, and what would pass for a yes does not.
func TestWebSocketRefusals(t *testing.T) {
	const badAccept = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
	for name, tt := range map[string]struct {
		answer       string
		status, body string
	}{
		"403":           {"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "403", "no"},
		"426":           {"HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 14\r\nContent-Length: 0\r\n\r\n", "426", ""},
		"a plain 200":   {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "502", "bad_response"},
		"a wrong key":   {badAccept, "502", "bad_response"},
		"no accept":     {strings.Replace(badAccept, "Sec-WebSocket-Accept", "X-Accept", 1), "502", "bad_response"},
		"other upgrade": {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n", "502", "bad_response"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newCross(t, pairing{h2Client: true}, Config{})
			x.answer = func(string) string { return tt.answer }
			x.ask(wsFrame(1, "early", true))
			c := x.peer.streams[0]
			x.until("the answer", func() bool { return c.whole })
			if c.status != tt.status || !strings.Contains(c.head+c.body.String(), tt.body) {
				t.Errorf("status %s, body %q", c.status, c.body.String())
			}
			x.over()
		})
	}
}

// An HTTP/2 upstream refuses, or has not announced that it takes WebSockets.
func TestWebSocketRefusedByHTTP2(t *testing.T) {
	for _, p := range h2Pairings[1:] {
		for name, tt := range map[string]struct {
			cfg    h2.Config
			status string
			text   string
		}{
			"refuses":           {h2.Config{ExtendedConnect: true}, "403", "no"},
			"has not announced": {h2.Config{}, "501", "SETTINGS_ENABLE_CONNECT_PROTOCOL"},
		} {
			t.Run(p.String()+" "+name, func(t *testing.T) {
				x := &cross{walk: h2Walk(t, Config{}), pairing: p}
				x.openH2()
				x.serveH2(tt.cfg)
				x.refuse = func(q *h2request) bool {
					q.s.Head([]h2.Field{pair(":status", "403"), pair("content-length", "2")}, false)
					q.s.Write([]byte("no"), true)
					return true
				}
				x.ask("")
				x.until("the answer", func() bool { return x.client.head != "" && strings.Contains(x.client.got, tt.text) })
				if !strings.Contains(x.client.head, " "+tt.status) {
					t.Errorf("head %q", x.client.head)
				}
				if x.server != nil && tt.status == "501" {
					t.Errorf("the upstream was asked: %q", x.server.head)
				}
				x.client.cut()
				x.over()
			})
		}
	}
}

// A GET may announce an empty body, and a CONNECT may not.
func TestWebSocketWithoutABodyThatSaysSo(t *testing.T) {
	x := newCross(t, pairing{h2Server: true}, Config{})
	c := x.dial("web")
	x.client = x.overSock(c.Sock, func(*wsEnd) {})
	c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\nSec-WebSocket-Key: " + wsKey + "\r\n\r\n"))
	x.until("the answer", func() bool { return x.client.head != "" })
	if !strings.HasPrefix(x.client.head, "HTTP/1.1 101 ") {
		t.Fatalf("the client got %q", x.client.head)
	}
	if strings.Contains(x.server.head, "content-length") {
		t.Errorf("the server got %q", x.server.head)
	}
	x.client.cut()
	x.over()
}

// What is no handshake of a WebSocket is refused, or stays what it is.
func TestWebSocketHandshakesThatAreNone(t *testing.T) {
	x := newCross(t, pairing{h2Server: true}, Config{})
	x.refuse = func(q *h2request) bool {
		q.s.Head([]h2.Field{pair(":status", "204")}, true)
		return true
	}
	const get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
	for req, want := range map[string]string{
		get + "\r\n":                             "HTTP/1.1 400",
		get + "Sec-WebSocket-Key: short\r\n\r\n": "HTTP/1.1 400",
		get + "Sec-WebSocket-Key: " + wsKey + "\r\nSec-WebSocket-Key: " + wsKey + "\r\n\r\n":                            "HTTP/1.1 400",
		"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n":          "HTTP/1.1 204",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\nSec-WebSocket-Key: " + wsKey + "\r\n\r\n": "HTTP/1.1 204",
	} {
		c := x.dial("web")
		c.Write([]byte(req))
		x.until("the answer", c.has("\r\n\r\n"))
		if !strings.HasPrefix(c.got, want) {
			t.Errorf("%q: %q, want %s", req, c.got, want)
		}
		c.Close()
	}
	if strings.Contains(x.server.head, ":protocol") {
		t.Errorf("it went out as a WebSocket: %q", x.server.head)
	}
	x.over()

	x = newCross(t, pairing{h2Client: true}, Config{})
	x.peer = x.dialH2("web")
	for _, fields := range [][]h2.Field{
		{pair(":method", "CONNECT"), pair(":protocol", "connect-udp"), pair(":scheme", "http"), pair(":path", "/"), pair(":authority", "a")},
		{pair(":method", "CONNECT"), pair(":authority", "a:1")},
	} {
		c := &h2call{}
		s, err := x.peer.core.Open(fields, false)
		if err != nil {
			t.Fatal(err)
		}
		c.s, s.Owner = s, c
		x.peer.flush()
		x.until("the answer", func() bool { return c.whole })
		if c.status != "501" {
			t.Errorf("%d fields: status %s", len(fields), c.status)
		}
	}
	if x.server != nil {
		t.Errorf("the upstream was asked: %q", x.server.head)
	}
	x.over()
}
