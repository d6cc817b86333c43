package proxy

import (
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h2"
	"github.com/sluiceproxy/sluice/proxy/websocket"
)

// WebSockets between all pairs of protocols, with both peers written by hand.

// pairing is which protocol each side of the proxy speaks.
type pairing struct{ h2Client, h2Server bool }

func (p pairing) String() string {
	name := map[bool]string{false: "http1", true: "http2"}
	return name[p.h2Client] + " to " + name[p.h2Server]
}

var (
	pairings   = []pairing{{}, {h2Client: true}, {h2Server: true}, {true, true}}
	h2Pairings = pairings[1:]
)

func onEvery(t *testing.T, pairings []pairing, f func(t *testing.T, p pairing)) {
	for _, p := range pairings {
		t.Run(p.String(), func(t *testing.T) { f(t, p) })
	}
}

// wsEnd is one end of a WebSocket, whatever it speaks. What came of it is as new as the last cross.until.
type wsEnd struct {
	head       string // that it got, as text or as name: value lines
	got        string // behind it
	eof, reset bool
	look       func()
	send       func(b string)
	finish     func() // FIN or END_STREAM
	cut        func() // RST or RST_STREAM
}

// cross is a WebSocket through the proxy.
type cross struct {
	*walk
	pairing
	client, server *wsEnd
	ends           []*wsEnd
	peer           *h2peer      // the client's connection, if that is HTTP/2
	origins        *[]*h2origin // the server's, likewise

	answer func(key string) string // what an HTTP/1.1 server says to the handshake
	refuse func(q *h2request) bool // whether an HTTP/2 server says no, and says it
}

const wsKey = "dGhlIHNhbXBsZSBub25jZQ==" // of RFC 6455 section 1.3

func switching(key string) string {
	return "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nX-From: up\r\nSec-WebSocket-Accept: " +
		string(websocket.AppendAccept(nil, []byte(key))) + "\r\n\r\n"
}

func newCross(t *testing.T, p pairing, cfg Config) *cross {
	x := &cross{walk: h2Walk(t, cfg), pairing: p, answer: switching}
	if p.h2Server {
		x.openH2()
		x.serveH2(h2.Config{ExtendedConnect: true})
	} else {
		x.open()
		x.serveH1()
	}
	return x
}

// openCross is newCross with the WebSocket open.
func openCross(t *testing.T, p pairing, cfg Config) *cross {
	x := newCross(t, p, cfg)
	x.ask("")
	x.until("the client may talk", func() bool { return x.client.head != "" })
	return x
}

// until runs the network, and brings the ends up to date.
func (x *cross) until(what string, done func() bool) {
	x.t.Helper()
	x.walk.until(what, func() bool {
		for _, e := range x.ends {
			e.look()
		}
		return done()
	})
}

// overSock is an end that is a connection.
func (x *cross) overSock(c *sim.Sock, head func(e *wsEnd)) *wsEnd {
	e := &wsEnd{look: func() {}, send: func(b string) { c.Write([]byte(b)) }, finish: c.CloseWrite, cut: c.Abort}
	c.SetEvents(sim.Events{
		Data: func(b []byte) {
			e.got += string(b)
			if at := strings.Index(e.got, "\r\n\r\n"); at >= 0 && e.head == "" {
				e.head, e.got = e.got[:at+4], e.got[at+4:]
				head(e)
			}
		},
		EOF:   func() { e.eof = true },
		Reset: func() { e.reset = true },
	})
	x.ends = append(x.ends, e)
	return e
}

func (x *cross) serveH1() {
	x.net.Listen("up:1").Accept(func(c *sim.Sock) {
		x.overSock(c, func(e *wsEnd) {
			x.server = e
			_, key, _ := strings.Cut(e.head, "Sec-WebSocket-Key: ")
			key, _, _ = strings.Cut(key, "\r\n")
			c.Write([]byte(x.answer(key)))
		})
	})
}

func (x *cross) serveH2(cfg h2.Config) {
	known := map[*h2request]bool{}
	x.origins = x.originH2("up:1", cfg, func(o *h2origin, q *h2request) {
		if known[q] {
			return
		}
		known[q] = true
		e := &wsEnd{head: q.head,
			send:   func(b string) { q.s.Write([]byte(b), false); o.flush() },
			finish: func() { q.s.Write(nil, true); o.flush() },
			cut:    func() { q.s.Reset(h2.Cancel); o.flush() }}
		e.look = func() { e.got, e.eof, e.reset = q.body.String(), q.whole, q.reset != nil }
		x.server, x.ends = e, append(x.ends, e)
		if x.refuse == nil || !x.refuse(q) {
			q.s.Head([]h2.Field{pair(":status", "200"), pair("x-from", "up")}, false)
		}
	})
}

// ask sends the handshake, with what follows it at once.
func (x *cross) ask(early string) {
	if x.h2Client {
		if x.peer == nil {
			x.peer = x.dialH2("web")
		}
		x.client = x.connect("/chat", early)
		return
	}
	c := x.dial("web")
	x.client = x.overSock(c.Sock, func(*wsEnd) {})
	c.Write([]byte("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: " + wsKey + "\r\nSec-WebSocket-Protocol: talk\r\n\r\n" + early))
}

// connect opens one more WebSocket on the client's connection.
func (x *cross) connect(path, early string, more ...string) *wsEnd {
	p, e, c := x.peer, &wsEnd{}, &h2call{}
	list := []h2.Field{pair(":method", "CONNECT"), pair(":protocol", "websocket"), pair(":scheme", "http"), pair(":path", path),
		pair(":authority", "a"), pair("sec-websocket-protocol", "talk")}
	for _, f := range more {
		name, value, _ := strings.Cut(f, ": ")
		list = append(list, pair(name, value))
	}
	s, err := p.core.Open(list, false)
	if err != nil {
		x.t.Fatal(err)
	}
	c.s, s.Owner = s, c
	p.streams = append(p.streams, c)
	e.send = func(b string) { p.write(c, b, false) }
	e.finish = func() { p.write(c, "", true) }
	e.cut = func() { c.s.Reset(h2.Cancel); p.flush() }
	e.look = func() { e.head, e.got, e.eof, e.reset = c.head, c.body.String(), c.whole, c.reset != nil || p.reset }
	x.ends = append(x.ends, e)
	if early != "" {
		e.send(early)
	}
	p.flush()
	return e
}

// over ends the connections, and looks for what was left behind.
func (x *cross) over() {
	x.t.Helper()
	if x.peer != nil {
		x.peer.Close()
	}
	x.noneLeft()
	x.nothingHeld()
	if x.h2Server {
		x.core.postAll(retireNote{})
	}
	if n := len(x.core.loops[0].headless); n > 0 {
		x.t.Errorf("%d connections without a head", n)
	}
}
