package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// whole answers every whole request with what it got.
func whole(o *h2origin, q *h2request) {
	if q.whole {
		o.answer(q, "got "+q.body.String())
	}
}

// closed ends the stop of a walk with upstream connections: nothing may be left in the network.
func (w *walk) retired() {
	w.t.Helper()
	w.noneLeft()
	w.core.postAll(retireNote{})
	w.until("no socket is left", func() bool { return w.net.Open() == 0 })
}

// A request of HTTP/1.1 crosses to HTTP/2 and back with its meaning, its trailers too.
func TestUpH2FromHTTP1(t *testing.T) {
	w := h2Walk(t, Config{})
	w.openH2()
	all := w.originH2("up:1", h2.Config{}, func(o *h2origin, q *h2request) {
		if q.whole {
			o.answer(q, "got "+q.body.String(), pair("x-sum", "9"))
		}
	})
	c := w.dial("web")
	c.Write([]byte("POST /a?b HTTP/1.1\r\nHost: A.example\r\nTE: trailers\r\nConnection: te, x-hop\r\nX-Hop: 1\r\nX-Mixed: Case\r\nTransfer-Encoding: chunked\r\n\r\n" +
		"5\r\nhello\r\n0\r\nX-Trailer: yes\r\n\r\n"))
	w.until("the response", c.has("\r\n0\r\nx-sum: 9\r\n\r\n"))
	for _, want := range []string{"HTTP/1.1 200 OK\r\n", "x-from: h2\r\n", "Transfer-Encoding: chunked\r\n", "\r\n9\r\ngot hello\r\n"} {
		if !strings.Contains(c.got, want) {
			t.Errorf("no %q in %q", want, c.got)
		}
	}
	q := (*all)[0].asked[0]
	for _, want := range []string{":method: POST\n:scheme: http\n:authority: a.example\n:path: /a?b\n", "x-mixed: Case\n", "te: trailers\n", "via: 1.1 sluice\n"} {
		if !strings.Contains(q.head, want) {
			t.Errorf("no %q in %q", want, q.head)
		}
	}
	for _, no := range []string{"x-hop", "connection", "transfer-encoding", "\nhost", "upgrade"} {
		if strings.Contains(q.head, no+":") {
			t.Errorf("%s went to the upstream: %q", no, q.head)
		}
	}
	if q.trailers != "x-trailer: yes\n" || q.body.String() != "hello" {
		t.Errorf("body %q, trailers %q", q.body.String(), q.trailers)
	}
	c.got = ""
	c.Write([]byte("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("the next two", c.has("got \r\n0\r\n"))
	c.Close()
	w.retired()
}

// A body of no byte, announced as such, has trailers all the same.
func TestUpH2TrailersOfNothing(t *testing.T) {
	w := h2Walk(t, Config{})
	w.openH2()
	w.originH2("up:1", h2.Config{}, func(o *h2origin, q *h2request) {
		q.s.Head([]h2.Field{pair(":status", "200"), pair("content-length", "0")}, false)
		q.s.Trailers([]h2.Field{pair("x-sum", "0")})
	})
	p := w.dialH2("web")
	c := p.call("GET", "/", true)
	w.until("the response", func() bool { return c.done })
	if c.status != "200" || !strings.Contains(c.trailers, "x-sum: 0\n") || c.reset != nil {
		t.Errorf("status %s, trailers %q, reset %v", c.status, c.trailers, c.reset)
	}
	old := w.dial("web")
	old.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
	w.until("both responses", func() bool { return strings.Count(old.got, "content-length: 0\r\n") == 2 })
	if strings.Contains(old.got, "x-sum") {
		t.Errorf("HTTP/1.1 has no trailers behind a length: %q", old.got)
	}
	old.Close()
	p.Close()
	w.retired()
}

// Requests share a connection as far as the peer allows, and no further.
func TestUpH2Shares(t *testing.T) {
	w := h2Walk(t, Config{})
	w.openH2()
	var held []func()
	all := w.originH2("up:1", h2.Config{MaxStreams: 3}, func(o *h2origin, q *h2request) {
		held = append(held, func() { o.answer(q, "hi"); o.flush() })
	})
	p := w.dialH2("web")
	first := p.call("GET", "/0", true)
	w.until("the first", func() bool { return len(held) == 1 })
	var calls []*h2call
	for range 6 {
		calls = append(calls, p.call("GET", "/", true))
	}
	w.until("all have come", func() bool { return len(held) == 7 })
	if n := len(*all); n != 3 {
		t.Errorf("%d connections for 7 requests, 3 a connection", n)
	}
	for _, answer := range held {
		answer()
	}
	for _, c := range append(calls, first) {
		w.until("a response", func() bool { return c.done })
	}
	p.Close()
	w.retired()
}

// What the upstream says it did nothing with is sent again, whatever its method, and only if all of it is still here.
func TestUpH2Unprocessed(t *testing.T) {
	for name, refuse := range map[string]func(o *h2origin, q *h2request){
		"REFUSED_STREAM": func(o *h2origin, q *h2request) { q.s.Reset(h2.RefusedStream) },
		"GOAWAY": func(o *h2origin, q *h2request) {
			o.Write([]byte("\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := h2Walk(t, Config{})
			w.openH2()
			refused := 0
			all := w.originH2("up:1", h2.Config{}, func(o *h2origin, q *h2request) {
				if refused == 0 {
					refused++
					refuse(o, q)
					return
				}
				whole(o, q)
			})
			p := w.dialH2("web")
			c := p.call("POST", "/", true)
			w.until("the response", func() bool { return c.done })
			if c.status != "200" {
				t.Errorf("status %s", c.status)
			}
			refused = 0
			c = p.call("POST", "/", false)
			p.write(c, "half of it", false)
			w.until("the answer", func() bool { return c.whole })
			if c.status != "502" {
				t.Errorf("a request whose body is gone: status %s, want 502", c.status)
			}
			if name == "GOAWAY" && len(*all) < 2 {
				t.Errorf("%d connections", len(*all))
			}
			p.Close()
			w.retired()
		})
	}
}

// A response that ends early never looks whole, and the connection of the upstream goes on.
func TestUpH2Truncated(t *testing.T) {
	w := h2Walk(t, Config{})
	w.openH2()
	all := w.originH2("up:1", h2.Config{}, func(o *h2origin, q *h2request) {
		if q.path == "/cut" {
			q.s.Head([]h2.Field{pair(":status", "200")}, false)
			q.s.Write([]byte("half"), false)
			o.flush()
			q.s.Reset(h2.InternalError)
			return
		}
		whole(o, q)
	})
	p := w.dialH2("web")
	c := p.call("GET", "/cut", true)
	w.until("the end", func() bool { return c.reset != nil })
	if c.whole {
		t.Error("it looks whole")
	}
	h1 := w.dial("web")
	h1.Write([]byte("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("the end", func() bool { return h1.eof || h1.reset })
	if strings.Contains(h1.got, "\r\n0\r\n") {
		t.Errorf("it looks whole: %q", h1.got)
	}
	c = p.call("GET", "/", true)
	w.until("the next", func() bool { return c.done })
	if n := len(*all); n != 1 {
		t.Errorf("%d connections", n)
	}
	h1.Close()
	p.Close()
	w.retired()
}

// A response whose length came and whose end does not is never whole: the last piece waits for END_STREAM.
func TestUpH2LengthWithoutEnd(t *testing.T) {
	w := h2Walk(t, Config{})
	w.openH2()
	var asked *h2request
	var from *h2origin
	w.originH2("up:1", h2.Config{}, func(o *h2origin, q *h2request) {
		asked, from = q, o
		q.s.Head([]h2.Field{pair(":status", "200"), pair("content-length", "5")}, false)
		q.s.Write([]byte("hel"), false)
		o.flush()
		q.s.Write([]byte("lo"), false)
	})
	const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	for name, ends := range map[string]func(){
		"END_STREAM": func() { asked.s.Write(nil, true) },
		"trailers":   func() { asked.s.Trailers([]h2.Field{pair("x", "1")}) },
		"reset":      func() { asked.s.Reset(h2.InternalError) },
	} {
		c := w.dial("web")
		c.Write([]byte(get))
		w.until("a beginning", c.has("hel"))
		w.pass(time.Second)
		if strings.HasSuffix(c.got, "lo") {
			t.Fatalf("%s: it looks whole: %q", name, c.got)
		}
		ends()
		from.flush()
		w.until("the end", func() bool { return strings.HasSuffix(c.got, "hello") || c.eof || c.reset })
		if whole := strings.HasSuffix(c.got, "hello"); whole == (name == "reset") {
			t.Errorf("%s: got %q", name, c.got)
		}
		c.Close()
	}
	w.retired()
}

// The last frame of a response comes in many reads, and its end in one of its own: all of it waits, and none of it is lost.
func TestUpH2LastFrameInPieces(t *testing.T) {
	w := h2Walk(t, Config{})
	w.net.Window = 1000
	w.openH2()
	var body strings.Builder
	for body.Len() < 10_000 {
		fmt.Fprintf(&body, "%09d\n", body.Len())
	}
	var asked *h2request
	var from *h2origin
	w.originH2("up:1", h2.Config{}, func(o *h2origin, q *h2request) {
		asked, from = q, o
		q.s.Head([]h2.Field{pair(":status", "200"), pair("content-length", fmt.Sprint(body.Len()))}, false)
		q.s.Write([]byte(body.String()), false)
	})
	c := w.dial("web")
	c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("the head", c.has("\r\n\r\n"))
	w.pass(time.Second)
	if strings.HasSuffix(c.got, "\n9990\n") {
		t.Fatal("it looks whole before its end")
	}
	asked.s.Write(nil, true)
	from.flush()
	w.until("all of it", func() bool { return strings.HasSuffix(c.got, "\r\n\r\n"+body.String()) })
	c.Close()
	w.retired()
}

// A connection that breaks: what may be sent again is, and the rest gets an answer.
func TestUpH2Breaks(t *testing.T) {
	w := h2Walk(t, Config{})
	w.openH2()
	breaks := true
	w.originH2("up:1", h2.Config{}, func(o *h2origin, q *h2request) {
		if breaks && q.path == "/post" {
			breaks = false
			o.Abort()
			return
		}
		if q.path == "/wait" && breaks {
			return
		}
		whole(o, q)
	})
	p := w.dialH2("web")
	get, post := p.call("GET", "/wait", true), p.call("POST", "/post", true)
	w.until("both", func() bool { return get.done && post.done })
	if get.status != "200" || post.status != "502" {
		t.Errorf("GET %s, POST %s; want 200 and 502", get.status, post.status)
	}
	p.Close()
	w.retired()
}

// Where nobody listens, the other endpoint is asked, and who waits for the same connection too.
func TestUpH2ConnectFails(t *testing.T) {
	w := h2Walk(t, Config{})
	w.openH2("up:2")
	w.originH2("up:2", h2.Config{}, whole)
	p := w.dialH2("web")
	var calls []*h2call
	for range 6 {
		calls = append(calls, p.call("GET", "/", true))
	}
	for _, c := range calls {
		w.until("a response", func() bool { return c.done })
		if c.status != "200" {
			t.Errorf("status %s", c.status)
		}
	}
	p.Close()
	w.retired()
}

// Memory stays bounded on the way down and on the way up, and neighbours go on.
func TestUpH2Pressure(t *testing.T) {
	w := h2Walk(t, Config{})
	w.openH2()
	big := strings.Repeat("x", 4<<20)
	all := w.originH2("up:1", h2.Config{StreamWindow: 65535}, func(o *h2origin, q *h2request) {
		switch {
		case q.path == "/big" && q.whole:
			o.answer(q, big)
		case q.path == "/up":
			o.greedy = true // from here on, for the connection
		default:
			whole(o, q)
		}
	})
	p := w.dialH2("web")
	p.greedy = true
	slow := p.call("GET", "/big", true)
	w.until("the client's window is used", func() bool { return slow.body.Len() >= 65535 })
	w.sleep(time.Second)
	if taken := len(big) - (*all)[0].asked[0].s.Queued(); taken > 600<<10 {
		t.Errorf("%d bytes of a response were taken that its client does not take", taken)
	}
	p.greedy = false
	c := p.call("GET", "/", true)
	w.until("a neighbour", func() bool { return c.done })
	up := p.call("POST", "/up", false)
	p.write(up, big, true)
	w.sleep(time.Second)
	if sent := len(big) - up.s.Queued(); sent > 800<<10 {
		t.Errorf("%d bytes of a request were taken that its upstream does not take", sent)
	}
	p.Abort()
	w.until("the upstream hears of it", func() bool { return (*all)[0].asked[0].reset != nil })
	w.retired()
}

// A panic over one stream of the upstream ends that one.
func TestUpH2PanicIsContained(t *testing.T) {
	struck, calls := -1, 0
	w := h2Walk(t, Config{Faults: Faults{Panic: func(engine.ConnID) bool { calls++; return calls == struck }}})
	w.openH2()
	w.originH2("up:1", h2.Config{}, whole)
	p, q := w.dialH2("web"), w.dialH2("web")
	for at := 1; at <= 12; at++ {
		one, two := p.call("GET", "/1", true), q.call("GET", "/2", true)
		struck = calls + at
		w.until("both end", func() bool { return (one.done || one.reset != nil) && (two.done || two.reset != nil) })
		if one.status != "200" && two.status != "200" {
			t.Errorf("at %d: %s and %s: one panic struck both", at, one.status, two.status)
		}
		if n := w.core.Orphans(); n > 0 {
			t.Fatalf("at %d: %d exchanges wait for nobody", at, n)
		}
	}
	p.Close()
	q.Close()
	w.retired()
}

// An upstream that takes a connection and says nothing is not waited for.
func TestUpH2Silent(t *testing.T) {
	w := h2Walk(t, Config{})
	w.openH2("up:2")
	w.net.Listen("up:1").Accept(func(s *sim.Sock) { s.SetEvents(sim.Events{Data: func([]byte) {}, EOF: func() { s.Close() }}) })
	w.originH2("up:2", h2.Config{}, whole)
	p := w.dialH2("web")
	a, b := p.call("GET", "/", true), p.call("GET", "/", true)
	began := w.net.Now()
	w.until("both", func() bool { return a.done && b.done })
	if a.status != "200" || b.status != "200" || w.net.Now().Sub(began) > 20*time.Second {
		t.Errorf("%s and %s after %v", a.status, b.status, w.net.Now().Sub(began))
	}
	p.Close()
	w.noneLeft()
}
