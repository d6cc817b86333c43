package proxy

import (
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func TestSourceKey(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"10.0.0.1", "10.0.0.1", true},
		{"10.0.0.1", "::ffff:10.0.0.1", true},
		{"10.0.0.1", "10.0.0.2", false},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"fe80::1%eth0", "fe80::2", true},
		{"0.0.0.0", "::1", false}, // all bits 0, of both families
	} {
		if got := keyOf(netip.MustParseAddr(c.a)) == keyOf(netip.MustParseAddr(c.b)); got != c.same {
			t.Errorf("%s and %s are one source: %t, want %t", c.a, c.b, got, c.same)
		}
	}
}

// Many loops take and leave places at once: no count is ever over its limit, none refuses
// while it has room, and nothing is left in the table at the end.
func TestPlacesAreExact(t *testing.T) {
	const loops, rounds, perSource = 8, 5000, 2
	core := NewCore(Config{MaxConnections: 6, PerSource: perSource,
		Listeners:      []ListenerConfig{{Name: "web", MaxConnections: 5}},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.9/32")}}, nil, nil)
	ln := core.listeners[0]
	var wg sync.WaitGroup
	for i := range loops {
		wg.Go(func() { // joined below; ends after its rounds
			a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 3)})
			for range rounds {
				if core.takePlace(ln, a) != nil {
					continue
				}
				core.sources.mu.Lock()
				n := core.sources.n[keyOf(a)]
				core.sources.mu.Unlock()
				if n > perSource || ln.open.Load() > 5 || core.open.Load() > 6 {
					t.Errorf("%d from one source, %d on the listener, %d in all", n, ln.open.Load(), core.open.Load())
				}
				core.leavePlace(ln, a)
			}
		})
	}
	wg.Wait()
	if core.open.Load() != 0 || ln.open.Load() != 0 || core.sources.size() != 0 {
		t.Fatalf("left over: %d in all, %d on the listener, %d sources", core.open.Load(), ln.open.Load(), core.sources.size())
	}
	for i, c := range []struct {
		from string
		want *overLimit
	}{
		{"10.0.0.1", nil}, {"10.0.0.1", nil}, {"10.0.0.1", errSourceLimit},
		{"10.0.0.9", nil}, {"10.0.0.9", nil}, {"10.0.0.9", nil}, {"10.0.0.9", errListenerLimit},
	} {
		if got := core.takePlace(ln, netip.MustParseAddr(c.from)); got != c.want {
			t.Errorf("%d: %v, want %v", i, got, c.want)
		}
	}
	if n := core.sources.size(); n != 1 {
		t.Errorf("%d sources in the table, want 1: those without a count take no memory", n)
	}
}

// Places come back however a connection ends, and the refused never had one.
func TestPlacesComeBack(t *testing.T) {
	w := newWalk(t, Config{PerSource: 1})
	w.open()
	w.simple(ok)
	for range 3 {
		c := w.dial("web")
		c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
		w.until("the end", func() bool { return c.eof })
		c.Close()
		if !strings.Contains(c.got, "200 OK") {
			t.Errorf("client got %q", c.got)
		}
		d := w.dial("db")
		d.Write([]byte("x"))
		d.Abort()
	}
	w.until("no place is taken", func() bool {
		return w.core.open.Load() == 0 && w.core.sources.size() == 0 && w.core.listeners[0].open.Load()+w.core.listeners[1].open.Load() == 0
	})
}

// The place that a connection gives back is the one it took, although a PROXY header has
// named another source meanwhile.
func TestAProxyHeaderMovesNoPlace(t *testing.T) {
	w := newWalk(t, Config{PerSource: 5, Listeners: []ListenerConfig{{Name: "web", ProxyFrom: anyPeer}}})
	w.open()
	w.simple(ok)
	c := w.dial("web")
	c.Write([]byte(clientHeader + "GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("a response", c.has("\r\n\r\nhi"))
	if n := w.core.sources.size(); n != 1 {
		t.Fatalf("%d sources, want 1", n)
	}
	c.Close()
	w.until("the end", func() bool { return w.core.open.Load() == 0 })
	if n := w.core.sources.size(); n != 0 {
		t.Errorf("%d sources are counted without a connection", n)
	}
}

// Idle connections hold no exchange, and nobody writes to the one that they share.
func TestIdleConnectionsHoldNoExchange(t *testing.T) {
	w := newWalk(t, Config{})
	w.open()
	w.simple(ok)
	var all []*client
	for range 5 {
		c := w.dial("web")
		c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"))
		w.until("both responses", func() bool { return strings.Count(c.got, "\r\n\r\nhi") == 2 })
		all = append(all, c)
	}
	l := w.core.loops[0]
	for _, r := range l.roles {
		if c, ok := r.(*httpConn); ok && c.x != &l.none {
			t.Errorf("an idle connection holds an exchange: %+v", c.x)
		}
	}
	if !reflect.DeepEqual(l.none, exchange{}) || len(l.exchanges) == 0 {
		t.Errorf("the shared one was written to: %+v; %d are free", l.none, len(l.exchanges))
	}
	for _, c := range all {
		c.Close()
	}
}
