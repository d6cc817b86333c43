package world

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/proxyproto"
)

// proxyHeaders: on one listener connections begin with a PROXY header, which is believed from
// some; the upstreams want one, too. Everybody is who he is said to be by those who may say it.
var proxyHeaders = &Scenario{
	Name:    "proxy headers",
	cluster: func(w *world) string { return fmt.Sprintf("proxy_protocol: v%d", 1+w.opt.Seed%2) },
	stop:    9 * time.Second,
	configure: func(_ *world, cfg *proxy.Config) {
		for i := range cfg.Listeners {
			if cfg.Listeners[i].Name == altAddr {
				cfg.Listeners[i].ProxyFrom = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
			}
		}
	},
	play: func(w *world) {
		const n = 20
		o := w.origin("up:1", func(c *originConn) { c.named() })
		o.headed = true
		w.every(50*time.Millisecond, n, func(i int) {
			w.asks(newCaller(w, webAddr, func(c *caller) { c.ask() }))
			named := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), uint16(1000+i))
			header := proxyproto.Append(nil, 1+i%2, proxyproto.Header{Source: named, Destination: netip.MustParseAddrPort("203.0.113.1:443")})
			c := newCaller(w, altAddr, func(c *caller) { c.ask(header...) })
			c.names = named
			w.asks(c)
		})
		// Somebody else says the same, and somebody who may says nothing.
		liar := newCallerFrom(w, stranger, altAddr, func(c *caller) {
			c.ask(proxyproto.Append(nil, 2, proxyproto.Header{Source: netip.MustParseAddrPort("198.51.100.200:1"), Destination: netip.MustParseAddrPort("203.0.113.1:443")})...)
		})
		mute := newCaller(w, altAddr, func(c *caller) { c.ask() })
		w.net.After(5*time.Second, func() {
			for _, c := range []*caller{liar, mute} {
				c.names = netip.AddrPort{}
				if !c.ended || len(c.got) > 0 {
					w.violate("caller %d, who is nobody, got %.60q (ended: %v)", c.num, c.got, c.ended)
				}
				if !c.ended {
					c.sock.Abort()
				}
			}
			if want := 2 * 2 * n; o.requests != want {
				w.violate("the upstream got %d requests of callers, want %d", o.requests, want)
			}
		})
	},
}

// ask sends a request, behind a header if there is one.
func (c *caller) ask(header ...byte) {
	c.send(fmt.Appendf(header, "GET /%d HTTP/1.1\r\nHost: app.test\r\n\r\n", c.num))
}

// asks has a caller ask once more on its connection, and leave.
func (w *world) asks(c *caller) {
	w.net.After(time.Second, func() {
		if !c.served(1) {
			w.violate("caller %d was not served: %.80q (ended: %v)", c.num, c.got, c.ended)
		}
		c.ask()
	})
	w.net.After(3*time.Second, func() {
		if !c.served(2) {
			w.violate("caller %d was not served a second time: %.80q", c.num, c.got)
		}
		c.leave()
	})
}

// named holds what the upstream is told against what it is to be told.
func (c *originConn) named() {
	w, from := c.o.w, c.o.w.callers[c.num]
	switch {
	case from.sock.Addr == stranger:
		w.violate("a peer that nobody trusts was believed: %v", c.header.Source)
	case c.served > 0:
		w.violate("a connection whose header names %v carries another request, of %v", c.header.Source, from.names)
	case c.header.Source != from.names:
		w.violate("a connection of %v is said to be of %v", from.names, c.header.Source)
	case c.of != from.names.Addr().String():
		w.violate("a request of %v is said to come from %s", from.names, c.of)
	}
	c.answer(2)
}
