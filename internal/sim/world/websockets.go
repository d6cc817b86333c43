package world

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/websocket"
)

// webSockets: peers that talk in frames without end, until a stop. Each of them gets one Close,
// between two frames; nothing that a client sent before it was told is lost; who answers is
// completed, and who does not is cut, named, and told all the same.
var webSockets = &Scenario{
	Name:    "websockets",
	cluster: noKeys,
	stop:    4 * time.Second,
	play: func(w *world) {
		servers := make([]*wsPeer, 0, wsPairs)
		w.net.Listen("up:1").Accept(func(s *sim.Sock) {
			p := newWSPeer(w, fmt.Sprintf("server %d", len(servers)), false, s)
			servers = append(servers, p)
		})
		clients := make([]*wsPeer, wsPairs)
		for i := range clients {
			w.net.After(w.net.Between(0, 5*time.Second), func() { // some come in the lame duck
				p := newWSPeer(w, fmt.Sprintf("client %d", i), true, nil)
				clients[i] = p
				p.mute, p.leaves = i == 1, i == 2
				p.dial(webAddr, i)
			})
		}
		w.net.After(30*time.Second, func() {
			w.judgeWS(clients, servers)
			w.judgeWSReceipt(clients)
		})
	},
}

// wsPairs are the WebSockets of a history: number 1 has a client, and number 3 a server, that
// never answers a Close; the client of number 2 closes by itself.
const wsPairs = 8

// wsPeer is one end of a WebSocket.
type wsPeer struct {
	w      *world
	name   string
	client bool
	sock   wsWire
	addr   string // of the connection, where that is its own
	open   bool   // the 101 was sent, or came
	mute   bool   // it answers no Close
	leaves bool   // it closes by itself, after a while
	num    int    // of the pair
	other  *wsPeer

	got       []byte // beginning of a frame, or of a head
	sent      uint32 // messages
	read      uint32 // messages of the other one
	busy      bool   // the rest of a frame is still to be written
	fragments int    // of the message that is being sent, still to come
	closed    int    // Close frames that came
	code      int    // of it
	said      bool   // it sent its own
	ended     string // how; "": not yet
}

// wsWire is what carries its bytes: a connection, or a stream of one.
type wsWire interface {
	Write(b []byte)
	CloseWrite()
	Close()
}

func newWSPeer(w *world, name string, client bool, s *sim.Sock) *wsPeer {
	p := &wsPeer{w: w, name: name, client: client}
	if s != nil {
		p.sock = s
		s.SetEvents(p.events())
	}
	return p
}

func (p *wsPeer) events() sim.Events {
	return sim.Events{Data: p.data, EOF: func() { p.end("closed") }, Reset: func() { p.end("reset") }}
}

func (p *wsPeer) dial(addr string, num int) {
	ev := p.events()
	ev.Connected = func(err error) {
		if err != nil {
			p.w.notConnected(err)
			return
		}
		p.sock.Write(fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", num))
	}
	p.num = num
	s := p.w.net.Dial(addr, ev)
	p.sock, p.addr = s, s.Addr.String()
	p.w.wsClients[num] = p
}

// data reads heads, and frames behind them.
func (p *wsPeer) data(b []byte) {
	p.got = append(p.got, b...)
	if !p.open {
		head, rest, whole := strings.Cut(string(p.got), "\r\n\r\n")
		if !whole {
			return
		}
		p.open, p.got = true, []byte(rest)
		if p.client {
			if !strings.HasPrefix(head, "HTTP/1.1 101 ") {
				p.w.violate("%s got %q", p.name, head)
			}
		} else {
			num, _ := numberAfter([]byte(head[:strings.Index(head, " HTTP")]), '/')
			p.meets(num)
			_, key, _ := strings.Cut(head, "\r\nSec-WebSocket-Key: ")
			key, _, _ = strings.Cut(key, "\r\n")
			p.sock.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " +
				string(websocket.AppendAccept(nil, []byte(key))) + "\r\n\r\n"))
		}
		p.talk()
	}
	for len(p.got) > 0 && p.frame() {
	}
}

// meets: a server's end is that of the pair num.
func (p *wsPeer) meets(num int) {
	p.num, p.other = num, p.w.wsClients[num]
	p.other.other = p
	p.name, p.mute = fmt.Sprintf("server %d", num), num == 3
}

// frame reads one, by RFC 6455 section 5.2; false: more is needed.
func (p *wsPeer) frame() bool {
	if p.closed > 0 {
		p.w.violate("%s got %d bytes behind a Close", p.name, len(p.got))
		p.got = nil
		return false
	}
	b := p.got
	if len(b) < 2 {
		return false
	}
	at, n, masked := 2, int(b[1]&0x7f), b[1] >= 0x80
	if masked == p.client || b[0]&0x70 != 0 || n == 127 || b[0]&0xf > 2 && b[0]&0xf != 8 {
		p.w.violate("%s got what is no frame: %x", p.name, b[:min(len(b), 16)])
		p.got = nil
		return false
	}
	if n == 126 {
		if at = 4; len(b) < at {
			return false
		}
		n = int(binary.BigEndian.Uint16(b[2:]))
	}
	var key []byte
	if masked {
		key, at = b[at:min(len(b), at+4)], at+4
	}
	if len(b) < at+n {
		return false
	}
	payload := b[at : at+n]
	for i := range key {
		for j := i; j < n; j += 4 {
			payload[j] ^= key[i]
		}
	}
	p.got = b[at+n:]
	switch {
	case b[0]&0xf == 8:
		p.hears(payload)
	case b[0] == 0x82 || b[0] == 0x02:
		if got := binary.BigEndian.Uint32(payload); got != p.read {
			p.w.violate("%s got message %d, want %d", p.name, got, p.read)
		}
		p.read++
	}
	return true
}

// hears: a Close came.
func (p *wsPeer) hears(payload []byte) {
	p.closed++
	if len(payload) < 2 {
		p.w.violate("%s got a Close that says nothing", p.name)
		return
	}
	p.code = int(binary.BigEndian.Uint16(payload))
	p.w.trace("%s hears %d %q", p.name, p.code, payload[2:])
	if p.code != 1000 && !strings.Contains(string(payload), "retry-after=") {
		p.w.violate("%s got a Close without a hint: %q", p.name, payload)
	}
	if !p.mute {
		p.say(p.code)
	}
}

// say sends a Close, behind the frame that is being written.
func (p *wsPeer) say(code int) {
	switch {
	case p.said:
	case p.busy:
		p.w.net.After(5*time.Millisecond, func() { p.say(code) })
	default:
		p.said = true
		p.sock.Write(p.build(0x88, binary.BigEndian.AppendUint16(nil, uint16(code))))
		if !p.client { // a server closes first
			p.sock.CloseWrite()
		}
	}
}

// talk sends a message, or a fragment of one, now and then.
func (p *wsPeer) talk() {
	if p.said || p.ended != "" || p.closed > 0 {
		return
	}
	r := p.w.net.Rand
	if p.leaves && p.sent == 6 && p.fragments == 0 {
		p.say(1000)
		return
	}
	payload := make([]byte, 4+[]int{0, 10, 200, 2000}[r.IntN(4)])
	first := byte(0x02) // binary
	if p.fragments > 0 {
		p.fragments--
		first = 0
	} else {
		binary.BigEndian.PutUint32(payload, p.sent)
		p.sent++
		p.fragments = max(0, r.IntN(6)-3)
	}
	if p.fragments == 0 {
		first |= 0x80
	}
	out := p.build(first, payload)
	if k := r.IntN(len(out)); k > 0 && p.w.net.Chance(0.6) {
		p.busy = true
		p.sock.Write(out[:k])
		p.w.net.After(p.w.net.Between(0, 60*time.Millisecond), func() {
			p.busy = false
			p.sock.Write(out[k:])
		})
	} else {
		p.sock.Write(out)
	}
	p.w.net.After(p.w.net.Between(60*time.Millisecond, 200*time.Millisecond), p.talk)
}

func (p *wsPeer) build(first byte, payload []byte) []byte {
	out := []byte{first, byte(len(payload))}
	if len(payload) > 125 {
		out = binary.BigEndian.AppendUint16([]byte{first, 126}, uint16(len(payload)))
	}
	if !p.client {
		return append(out, payload...)
	}
	out[1] |= 0x80
	key := binary.BigEndian.AppendUint32(nil, p.w.net.Rand.Uint32())
	out = append(out, key...)
	for i, c := range payload {
		out = append(out, c^key[i%4])
	}
	return out
}

// end: the proxy closed, or reset.
func (p *wsPeer) end(how string) {
	if p.ended != "" {
		return
	}
	p.ended = how
	p.w.trace("%s %s: sent %d, read %d", p.name, how, p.sent, p.read)
	switch {
	case how == "reset":
		p.w.violate("%s was reset", p.name)
	case len(p.got) > 0:
		p.w.violate("%s: the end came within a frame: %x", p.name, p.got[:min(len(p.got), 16)])
	case p.closed != 1:
		p.w.violate("%s: an end without a Close", p.name)
	}
	p.said = true
	p.sock.Close()
}

// judge looks at a peer once all is over.
func (p *wsPeer) judge() {
	w := p.w
	if p == nil || p.other == nil {
		return
	}
	switch {
	case p.ended == "":
		w.violate("%s was never closed", p.name)
	case !p.client && !p.other.mute && p.read != p.other.sent:
		w.violate("lost: %s read %d messages, and its client sent %d", p.name, p.read, p.other.sent)
	case p.num == 2 && p.code != 1000, p.num != 2 && p.code != 1001:
		w.violate("%s was closed with %d", p.name, p.code)
	}
}

// judgeWS looks at all of them.
func (w *world) judgeWS(clients, servers []*wsPeer) {
	if len(servers) < wsPairs {
		w.violate("%d WebSockets reached the upstream, want %d", len(servers), wsPairs)
	}
	for _, p := range append(clients, servers...) {
		p.judge()
	}
}

// judgeWSReceipt: those that answered are completed and told; the others are named.
func (w *world) judgeWSReceipt(clients []*wsPeer) {
	r := w.tracker.Receipt()
	if r.CutTotal != 2 || r.Told != wsPairs-1 {
		w.violate("the receipt has %d cut and %d told, want 2 and %d", r.CutTotal, r.Told, wsPairs-1)
	}
	for _, h := range r.Cut {
		if h.Peer != clients[1].addr && h.Peer != clients[3].addr || h.Cause != drain.CauseDeadline.String() {
			w.violate("the receipt names %s, cut for %s", h.Peer, h.Cause)
		}
	}
}
