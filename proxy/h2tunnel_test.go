package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// A WebSocket crosses with its meaning: the handshake of each side is the one of its protocol, bytes go both ways, and the end of
// one side is the end of the other.
func TestWebSocketCrosses(t *testing.T) { onEvery(t, pairings, webSocketCrosses) }

func webSocketCrosses(t *testing.T, p pairing) {
	x := newCross(t, p, Config{})
	early := wsFrame(1, "early", true)
	x.ask(early)
	x.until("the client may talk", func() bool { return x.client.head != "" })
	wantServer := []string{"GET /chat HTTP/1.1\r\nHost: a\r\n", "\r\nSec-WebSocket-Version: 13\r\n", "\r\nSec-WebSocket-Key: ", "\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"}
	if p.h2Server {
		wantServer = []string{":method: CONNECT\n:protocol: websocket\n:scheme: http\n:authority: a\n:path: /chat\n", "sec-websocket-version: 13\n", "sec-websocket-protocol: talk\n"}
	}
	wantClient := []string{"HTTP/1.1 101 Switching Protocols\r\n", "\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"}
	if p.h2Client {
		wantClient = []string{":status: 200\n"}
	}
	for _, want := range wantServer {
		if !strings.Contains(x.server.head, want) {
			t.Errorf("the server got no %q: %q", want, x.server.head)
		}
	}
	for _, want := range append(wantClient, "rom: up") {
		if !strings.Contains(x.client.head, want) {
			t.Errorf("the client got no %q: %q", want, x.client.head)
		}
	}
	for _, of := range []struct {
		is   bool
		head string
		not  []string
	}{{p.h2Server, x.server.head, []string{"sec-websocket-key", "upgrade"}}, {p.h2Client, x.client.head, []string{"sec-websocket-accept", "upgrade", "content-length"}}} {
		for _, no := range of.not {
			if of.is && strings.Contains(of.head, no+":") {
				t.Errorf("%s on HTTP/2: %q", no, of.head)
			}
		}
	}
	x.until("what came with the handshake", func() bool { return x.server.got == early })
	large := wsFrame(2, strings.Repeat("y", 60_000), false)
	x.server.send(large)
	x.until("the answer", func() bool { return x.client.got == large })
	x.client.finish()
	x.until("the end of the client", func() bool { return x.server.eof })
	bye := wsFrame(1, "last", false)
	x.server.send(bye)
	x.until("what comes after it", func() bool { return x.client.got == large+bye })
	x.server.finish()
	x.until("the end of the server", func() bool { return x.client.eof })
	if x.client.reset || x.server.reset {
		t.Errorf("resets: %v, %v", x.client.reset, x.server.reset)
	}
	x.over()
}

// A reset of one side is a reset of the other, and nothing else on their connections is touched.
func TestWebSocketResetCrosses(t *testing.T) {
	onEvery(t, pairings, func(t *testing.T, p pairing) {
		for _, byClient := range []bool{true, false} {
			x := openCross(t, p, Config{})
			var other *wsEnd
			if p.h2Client {
				other = x.connect("/other", "")
				x.until("another", func() bool { return other.head != "" })
			}
			cut, hears := x.ends[0], x.ends[1]
			for _, e := range x.ends[:2] {
				if (e == x.client) == byClient {
					cut = e
				} else {
					hears = e
				}
			}
			cut.cut()
			x.until("the reset", func() bool { return hears.reset })
			if hears.eof {
				t.Error("it looks like an end")
			}
			if other != nil {
				text := wsFrame(1, "go on", true)
				other.send(text)
				x.until("the other goes on", func() bool { return x.server.got == text })
				if x.peer.eof || x.peer.reset {
					t.Error("the connection went with it")
				}
			}
			x.over()
		}
	})
}

// A side that takes nothing stops the other, and not more than the windows is kept for it; others on its connection go on.
func TestWebSocketBackpressure(t *testing.T) {
	onEvery(t, h2Pairings, func(t *testing.T, p pairing) {
		x := openCross(t, p, Config{})
		if !p.h2Client {
			return // the kernel of its own socket is what is full
		}
		x.peer.greedy = true
		const sent = 4 << 20
		x.server.send(strings.Repeat(wsFrame(2, strings.Repeat("z", 60_000), false), sent/60_000))
		x.pass(10 * time.Second)
		x.until("some of it", func() bool { return len(x.client.got) > 60_000 })
		held := 0
		for _, d := range x.look1() {
			held += d.Queued
		}
		if limit := 2*upWindow + highWater; held > limit {
			t.Errorf("%d bytes are kept, want at most %d", held, limit)
		}
		if n := len(x.client.got); n > 65535 {
			t.Errorf("the client got %d", n)
		}
		x.peer.greedy = false
		c := x.peer.streams[0]
		x.peer.core.Consumed(c.s, c.s.Unconsumed())
		x.peer.flush()
		whole := len(strings.Repeat(wsFrame(2, strings.Repeat("z", 60_000), false), sent/60_000))
		x.until("all of it", func() bool { return len(x.client.got) == whole })
		x.client.cut()
		x.over()
	})
}

func (x *cross) look1() map[engine.ConnID]Detail {
	l := x.core.loops[0]
	out := make(chan map[engine.ConnID]Detail, 1)
	var ids []engine.ConnID
	for _, h := range x.tracker.Snapshot(0) {
		ids = append(ids, engine.ConnID(h.Ref))
	}
	l.look(lookNote{ids, out})
	return <-out
}

// The end of a connection is a reset for the other side of its WebSockets, and whatever has to be flushed there is in-flight work.
func TestWebSocketWhoseConnectionBreaks(t *testing.T) {
	onEvery(t, h2Pairings, func(t *testing.T, p pairing) {
		for _, client := range []bool{true, false} {
			if client != p.h2Client && client != !p.h2Server {
				continue
			}
			x := openCross(t, p, Config{})
			hears := x.server
			if client {
				x.peer.Abort()
			} else {
				(*x.origins)[0].Abort()
				hears = x.client
			}
			x.until("the reset", func() bool { return hears.reset })
			if hears.eof {
				t.Error("it looks like an end")
			}
			x.over()
		}
	})
}

// An idle WebSocket ends after the time that its route says.
func TestWebSocketIdleOnHTTP2(t *testing.T) {
	onEvery(t, pairings, func(t *testing.T, p pairing) {
		x := newCross(t, p, Config{})
		x.core.gate.Load().routes[0].tunnelIdle = 10 * time.Minute
		x.ask("")
		x.until("the client may talk", func() bool { return x.client.head != "" })
		began := x.net.Now()
		x.until("the end", func() bool { return (x.client.reset || x.client.eof) && (x.server.reset || x.server.eof) })
		if idle := x.net.Now().Sub(began); idle < 599*time.Second || idle > 11*time.Minute {
			t.Errorf("after %v", idle)
		}
		x.over()
	})
}

// A panic over one WebSocket ends that one.
func TestPanicInATunnelOfHTTP2(t *testing.T) {
	onEvery(t, h2Pairings, func(t *testing.T, p pairing) {
		armed, panics := false, 0
		cfg := Config{Panicked: func(string, any, []byte) { panics++ }}
		cfg.Faults.Panic = func(engine.ConnID) bool {
			was := armed
			armed = false
			return was
		}
		for _, fromClient := range []bool{true, false} {
			x := openCross(t, p, cfg)
			armed, panics = true, 0
			if fromClient {
				x.client.send(wsFrame(1, "boom", true))
			} else {
				x.server.send(wsFrame(1, "boom", false))
			}
			x.until("both are reset", func() bool { return x.client.reset && x.server.reset })
			if panics != 1 {
				t.Errorf("%d panics", panics)
			}
			if p.h2Client {
				again := x.connect("/again", "")
				x.until("another on the same connection", func() bool { return again.head != "" })
			}
			x.over()
		}
	})
}

// A panic anywhere on the way to a WebSocket ends it, and looks like it: what came with the handshake arrives, or nobody waits for it.
func TestPanicOnTheWayToATunnel(t *testing.T) {
	onEvery(t, pairings, func(t *testing.T, p pairing) {
		for at, panics := 1, 1; panics > 0; at++ {
			n := 0
			panics = 0
			cfg := Config{Panicked: func(string, any, []byte) { panics++ }}
			cfg.Faults.Panic = func(engine.ConnID) bool { n++; return n == at }
			x := newCross(t, p, cfg)
			early := wsFrame(1, "early", true)
			x.ask(early)
			x.pass(2 * time.Second)
			x.until("the ends are looked at", func() bool { return true })
			arrived := x.server != nil && x.server.got == early
			if over := x.client.reset || x.client.eof; over == (panics == 0) || !over && !arrived {
				t.Errorf("panic %d: the client got %q and an end: %v; what it sent arrived: %v", at, x.client.head, over, arrived)
			}
			if at > 100 {
				t.Fatal("there is no end of panics")
			}
		}
	})
}

// A client may be done before it is heard: CONNECT with END_STREAM, and trailers are not part of it.
func TestWebSocketEndsOfHTTP2(t *testing.T) {
	x := newCross(t, pairing{h2Client: true}, Config{})
	x.ask("")
	x.client.finish()
	x.until("the end", func() bool { return x.server != nil && x.server.eof })
	x.server.finish()
	x.until("the answer", func() bool { return x.client.eof })
	again := x.connect("/again", "")
	c := x.peer.streams[1]
	x.until("the 200", func() bool { return again.head != "" })
	c.s.Trailers([]h2.Field{pair("x", "1")})
	x.peer.flush()
	x.until("the reset", func() bool { return again.reset })
	if c.reset.Code != h2.ProtocolError {
		t.Errorf("reset with %v", c.reset.Code)
	}
	x.over()
}
