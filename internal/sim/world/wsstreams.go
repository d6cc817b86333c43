package world

import (
	"fmt"
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// webSocketStreams is webSockets where a side, or both, speak HTTP/2 (RFC 8441): each stream gets its Close as a connection would, and a
// connection waits for its last one. By the seed the clients share two connections, the upstream's ends are streams, or both.
var webSocketStreams = &Scenario{
	Name: "websocket streams",
	cluster: func(w *world) string {
		if w.opt.Seed%3 == 0 {
			return ""
		}
		return "protocol: http2"
	},
	configure: speaksH2,
	stop:      4 * time.Second,
	play: func(w *world) {
		var servers []*wsPeer
		w.net.Listen("up:1").Accept(func(s *sim.Sock) {
			if w.opt.Seed%3 == 0 {
				servers = append(servers, newWSPeer(w, "a server", false, s))
				return
			}
			w.serveWS(s, func(p *wsPeer) { servers = append(servers, p) })
		})
		clients := make([]*wsPeer, wsPairs)
		var links []*wsLink
		if w.opt.Seed%3 != 1 {
			links = []*wsLink{w.dialWS(webAddr), w.dialWS(webAddr)}
		}
		for i := range clients {
			p := newWSPeer(w, fmt.Sprintf("client %d", i), true, nil)
			clients[i] = p
			p.mute, p.leaves = i == 1, i == 2
			w.net.After(w.net.Between(500*time.Millisecond, 2500*time.Millisecond), func() { // behind a goodbye no stream is opened
				if links == nil {
					p.dial(webAddr, i)
				} else {
					links[i%2].ask(p, i)
				}
			})
		}
		w.net.After(30*time.Second, func() {
			w.judgeWS(clients, servers)
			if links == nil {
				w.judgeWSReceipt(clients)
				return
			}
			w.judgeLinks(links)
		})
	},
}

// judgeLinks: the connection of the two who do not answer is cut, and names them; both were told.
func (w *world) judgeLinks(links []*wsLink) {
	r := w.tracker.Receipt()
	if r.CutTotal != 1 || r.Told != uint64(len(links)) || r.Outcomes.Completed != uint64(len(links)-1) {
		w.violate("the receipt has %d cut, %d told and %d completed", r.CutTotal, r.Told, r.Outcomes.Completed)
	}
	for _, h := range r.Cut {
		if h.Peer != links[1].sock.Addr.String() || h.Cause != drain.CauseDeadline.String() || len(h.Requests) != 2 {
			w.violate("the receipt names %s, cut for %s, with %d requests", h.Peer, h.Cause, len(h.Requests))
		}
	}
}

// wsLink is an HTTP/2 connection of such peers, on either side of the proxy.
type wsLink struct {
	h2end
	met func(p *wsPeer) // of a server: a WebSocket came
}

// wsStream is one stream of it.
type wsStream struct {
	l    *wsLink
	s    *h2.Stream // nil: it is over
	p    *wsPeer
	done bool // END_STREAM was sent
}

func (w *world) dialWS(addr string) *wsLink {
	l := &wsLink{h2end: h2end{w: w}}
	l.core = h2.New(h2.Config{Client: true, StreamWindow: 1 << 16, ConnWindow: 1 << 20}, l)
	l.sock = w.net.Dial(addr, l.events(func(err error) {
		if err != nil {
			w.notConnected(err)
			return
		}
		l.flush()
	}))
	return l
}

func (w *world) serveWS(s *sim.Sock, met func(p *wsPeer)) {
	l := &wsLink{h2end: h2end{w: w, sock: s}, met: met}
	l.core = h2.New(h2.Config{StreamWindow: 1 << 16, ConnWindow: 1 << 20, ExtendedConnect: true}, l)
	s.SetEvents(l.events(nil))
	l.flush()
}

func (l *wsLink) events(connected func(error)) sim.Events {
	return sim.Events{
		Connected: connected,
		Data:      l.receive,
		EOF:       func() { l.over(); l.sock.Close() },
		Reset:     l.over,
	}
}

// over: the connection ended. Whoever still had a stream saw it break.
func (l *wsLink) over() {
	if l.ended {
		return
	}
	l.ended = true
	l.core.Each(func(s *h2.Stream) {
		if ws, ok := s.Owner.(*wsStream); ok {
			ws.s = nil
			ws.p.end("reset")
		}
	})
}

// ask opens a WebSocket for a client's end.
func (l *wsLink) ask(p *wsPeer, num int) {
	s, err := l.core.Open([]h2.Field{pair(":method", "CONNECT"), pair(":protocol", "websocket"), pair(":scheme", "http"),
		pair(":path", "/"+strconv.Itoa(num)), pair(":authority", "app.test")}, false)
	if err != nil {
		l.w.violate("%s cannot be asked for: %v", p.name, err)
		return
	}
	p.num, l.w.wsClients[num] = num, p
	l.carry(s, p)
	l.flush()
}

func (l *wsLink) carry(s *h2.Stream, p *wsPeer) {
	ws := &wsStream{l: l, s: s, p: p}
	s.Owner, p.sock = ws, ws
}

// Head implements h2.Events: the answer of the proxy, or a WebSocket of it.
func (l *wsLink) Head(s *h2.Stream, fields []h2.Field, _ bool) {
	if l.met == nil {
		p := s.Owner.(*wsStream).p
		if p.open = string(fieldOf(fields, ":status")) == "200"; !p.open {
			l.w.violate("%s got %s", p.name, fieldOf(fields, ":status"))
			return
		}
		p.talk()
		return
	}
	if string(fieldOf(fields, ":protocol")) != "websocket" {
		l.w.violate("an upstream of HTTP/2 is asked for no WebSocket")
		return
	}
	p := newWSPeer(l.w, "", false, nil)
	num, _ := strconv.Atoi(string(fieldOf(fields, ":path")[1:]))
	l.carry(s, p)
	p.meets(num)
	p.open = true
	s.Head([]h2.Field{pair(":status", "200")}, false)
	l.met(p)
	p.talk()
}

// Data implements h2.Events.
func (l *wsLink) Data(s *h2.Stream, b []byte, end bool) {
	l.core.Consumed(s, len(b))
	p := s.Owner.(*wsStream).p
	p.data(b)
	if end {
		p.end("closed")
	}
}

// Reset implements h2.Events. Behind its end a stream may be reset, if nobody reads any more.
func (l *wsLink) Reset(s *h2.Stream, _ h2.Cause) {
	ws := s.Owner.(*wsStream)
	ws.s = nil
	ws.p.end("reset")
}

// Done implements h2.Events.
func (l *wsLink) Done(s *h2.Stream) { s.Owner.(*wsStream).s = nil }

// Write implements wsWire.
func (ws *wsStream) Write(b []byte) {
	if ws.s != nil && !ws.done {
		ws.s.Write(b, false)
		ws.l.w.net.After(0, ws.l.flush)
	}
}

// CloseWrite implements wsWire.
func (ws *wsStream) CloseWrite() {
	if ws.s != nil && !ws.done {
		ws.done = true
		ws.s.Write(nil, true)
		ws.l.w.net.After(0, ws.l.flush)
	}
}

// Close implements wsWire.
func (ws *wsStream) Close() { ws.CloseWrite() }
