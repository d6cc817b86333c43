package world

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// endedStreams: streams of every kind that drip without end, of two sessions. One of them is revoked, before a stop or in it: what it has open
// is over within a second, tunnels included whose client is gone; the other's goes on until its clients leave.
var endedStreams = &Scenario{
	Name:      "ended streams",
	cluster:   noKeys,
	route:     "authenticate: [api_key],",
	configure: speaksH2,
	stop:      4 * time.Second,
	play: func(w *world) {
		w.revoked = map[string]bool{}
		w.net.Listen("up:1").Accept(func(s *sim.Sock) { (&dripper{w: w, sock: s}).serve() })
		links := []*h2Peer{w.dialH2(webAddr), w.dialH2(webAddr)} // both sessions on each
		var all []*dripped
		for i := range 18 {
			d := &dripped{w: w, key: [...]string{goodKey + "/ann", goodKey + "/bob"}[i%2], num: i, slow: i/2 == 5}
			all = append(all, d)
			w.net.After(w.net.Between(0, 600*time.Millisecond), func() {
				switch i / 2 % 3 {
				case 0:
					d.dial("GET /t HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: drip\r\n")
				case 1:
					d.dial("GET /r HTTP/1.1\r\nHost: app.test\r\n")
				case 2:
					if d.slow { // and one whose client goes away
						d.dial("GET /h HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: drip\r\n")
						return
					}
					d.over(links[i/12])
				}
			})
		}
		w.net.After(w.net.Between(1500*time.Millisecond, 7*time.Second), func() {
			w.net.Count["session revoked while "+w.tracker.State().String()]++
			w.revoked[goodKey+"/ann"], w.revokedOne = true, w.net.Now()
			w.core.Recheck()
			w.net.After(w.endLate(), func() {
				for _, d := range all {
					d.judge()
				}
			})
		})
		w.net.After(10*time.Second, func() { // whoever may stay leaves
			for _, d := range all {
				d.leave()
			}
			for _, l := range links {
				l.leave()
			}
		})
		w.net.After(28*time.Second, func() {
			if r := w.tracker.Receipt(); r.CutTotal != 0 {
				w.violate("the receipt has %d cut", r.CutTotal)
			}
		})
	},
}

// dripped is a client of an endless stream.
type dripped struct {
	w    *world
	key  string
	num  int
	slow bool // its client goes away, and its upstream takes little: what is on its way is what ends

	sock   *sim.Sock   // nil: h2
	x      *h2Exchange // nil: sock
	got    []byte
	ended  bool // by the proxy
	left   bool // by us
	server *dripper
}

func (d *dripped) dial(head string) {
	w := d.w
	ev := sim.Events{
		Connected: func(err error) {
			if err != nil {
				w.notConnected(err)
				return
			}
			d.sock.Write(fmt.Appendf([]byte(head), "X-API-Key: %s\r\nX-Num: %d\r\n\r\n", d.key, d.num))
		},
		Data:  func(b []byte) { d.hears(b) },
		EOF:   d.end,
		Reset: d.end,
	}
	d.sock = w.net.Dial(webAddr, ev)
	w.drips = append(w.drips, d)
}

// over asks on a connection of HTTP/2.
func (d *dripped) over(l *h2Peer) {
	d.x = &h2Exchange{p: l, path: "/r", heard: d.hears}
	s, err := l.core.Open([]h2.Field{pair(":method", "GET"), pair(":scheme", "http"), pair(":authority", "app.test"), pair(":path", "/r"),
		pair("x-api-key", d.key), pair("x-num", fmt.Sprint(d.num))}, true)
	if err != nil {
		d.w.violate("a stream cannot be opened: %v", err)
		return
	}
	d.x.s, s.Owner = s, d.x
	l.exchanges = append(l.exchanges, d.x)
	d.w.net.After(0, l.flush)
	d.w.drips = append(d.w.drips, d)
}

func (d *dripped) barred() bool { return d.w.revoked[d.key] }

// hears: the stream goes on.
func (d *dripped) hears(b []byte) {
	d.got = append(d.got, b...)
	if d.barred() && d.w.net.Now().Sub(d.w.revokedOne) > d.w.endLate() {
		d.w.violate("stream %d of a session that was revoked goes on", d.num)
	}
	if d.slow && !d.left && bytes.Contains(d.got, []byte("\r\n\r\n")) {
		d.sock.Write(bytes.Repeat([]byte("x"), 150<<10))
		d.w.net.After(700*time.Millisecond, func() {
			d.left = true
			d.sock.Abort()
		})
	}
}

func (d *dripped) end() {
	d.ended = true
	d.sock.Close()
	if !d.left && !d.barred() {
		d.w.violate("stream %d of somebody else ended", d.num)
	}
}

// judge looks a second after the session was revoked.
func (d *dripped) judge() {
	w := d.w
	over := d.ended || d.left
	if d.x != nil {
		over = d.x.s == nil
	}
	switch {
	case d.slow:
		if s := d.server; s != nil && !s.gone && d.barred() {
			w.violate("the upstream of tunnel %d without a client still has it", d.num)
		}
	case d.barred() && !over:
		w.violate("stream %d of a session that was revoked is open", d.num)
	case !d.barred() && over:
		w.violate("stream %d of somebody else ended", d.num)
	case len(d.got) == 0:
		w.violate("stream %d never began", d.num)
	}
}

func (d *dripped) leave() {
	d.left = true
	if d.sock != nil && !d.ended {
		d.sock.Abort()
	}
}

// dripper is a connection of their upstream.
type dripper struct {
	w    *world
	sock *sim.Sock
	got  []byte
	gone bool
	d    *dripped
}

func (s *dripper) serve() {
	over := func() { s.gone = true; s.sock.Close() }
	s.sock.SetEvents(sim.Events{Data: s.data, EOF: over, Reset: over})
}

func (s *dripper) data(b []byte) {
	w := s.w
	if s.d != nil {
		if s.d.barred() && w.net.Now().Sub(w.revokedOne) > w.endLate() {
			w.violate("the upstream of stream %d gets bytes of a session that was revoked", s.d.num)
		}
		if s.d.slow { // 512 bytes in 20 ms: far from all in a second
			s.sock.Pause()
			w.net.After(20*time.Millisecond, s.sock.Resume)
		}
		return
	}
	s.got = append(s.got, b...)
	head, _, whole := strings.Cut(string(s.got), "\r\n\r\n")
	if !whole {
		return
	}
	_, num, _ := strings.Cut(strings.ToLower(head), "\r\nx-num: ")
	n := 0
	_, _ = fmt.Sscanf(num, "%d", &n)
	for _, d := range w.drips {
		if d.num == n {
			s.d, d.server = d, s
		}
	}
	if strings.HasPrefix(head, "GET /r") {
		s.sock.Write([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
		s.drip("5\r\ndrip\n\r\n")
		return
	}
	s.sock.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: drip\r\n\r\n"))
	if s.d.slow {
		s.sock.ReadMost(512)
		return
	}
	s.drip("drip\n")
}

// drip says something now and then.
func (s *dripper) drip(what string) {
	if !s.gone && !s.w.quiet {
		s.sock.Write([]byte(what))
		s.w.net.After(s.w.net.Between(5*time.Millisecond, 80*time.Millisecond), func() { s.drip(what) })
	}
}
