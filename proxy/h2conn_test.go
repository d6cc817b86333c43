package proxy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

func h2Walk(t *testing.T, cfg Config) *walk {
	cfg.Listeners = []ListenerConfig{{Name: "web", Protocol: HTTP, HTTP2: true}}
	return newWalk(t, cfg)
}

// end runs the peer's goodbye and looks for what was left behind.
func (w *walk) noneLeft() {
	w.t.Helper()
	w.until("nothing is left", func() bool { s := w.core.Stats(); return s.Open == 0 && s.Active == 0 && w.core.Unadmitted() == 0 })
	if n := w.core.Orphans(); n > 0 {
		w.t.Errorf("%d exchanges wait for nobody", n)
	}
}

func TestH2Get(t *testing.T) {
	w := h2Walk(t, Config{})
	w.open()
	w.simple("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Sluice-User: me\r\n\r\nhi")
	p := w.dialH2("web")
	for i := range 2 {
		c := p.call("GET", "/a?b", true, "cookie: x=1", "cookie: y=2", "te: trailers")
		w.until("the response", func() bool { return c.done })
		if c.status != "200" || c.body.String() != "hi" {
			t.Fatalf("%d: status %s, body %q", i, c.status, c.body.String())
		}
		for _, no := range []string{"x-hop", "keep-alive", "connection", "x-sluice-user"} {
			if strings.Contains(c.head, no+":") {
				t.Errorf("the response has %s: %s", no, c.head)
			}
		}
		if !strings.Contains(c.head, "x-a: 1\n") || !strings.Contains(c.head, "date: ") {
			t.Errorf("head %s", c.head)
		}
	}
	if len(w.upReqs) != 1 {
		t.Errorf("%d upstream connections, want 1", len(w.upReqs))
	}
	for _, want := range []string{"GET /a?b HTTP/1.1\r\nHost: a\r\n", "cookie: x=1; y=2\r\n", "Via: 2 sluice\r\n"} {
		if !strings.Contains(w.upReqs[0], want) {
			t.Errorf("no %q in %q", want, w.upReqs[0])
		}
	}
	if strings.Contains(strings.ToLower(w.upReqs[0]), "\r\nte:") {
		t.Error("TE went to the upstream")
	}
	p.Close()
	w.noneLeft()
}

// A body goes to the upstream with the framing that says what is known of its length, and whole.
func TestH2Bodies(t *testing.T) {
	for name, tc := range map[string]struct {
		fields   []string
		trailers bool
		want     string // behind the head
	}{
		"unknown length": {nil, false, "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"},
		"known length":   {[]string{"content-length: 11"}, false, "hello world"},
		"trailers":       {[]string{"te: trailers"}, true, "5\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 7\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := h2Walk(t, Config{})
			w.open()
			w.upstream(func(s *sim.Sock, got []byte) {
				if strings.HasSuffix(w.upReqs[0], tc.want) {
					s.Write([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-End: yes\r\nX-Sluice-User: me\r\n\r\n"))
				}
			})
			p := w.dialH2("web")
			c := p.call("POST", "/", false, tc.fields...)
			p.write(c, "hello", false)
			w.until("the upstream has the first piece", func() bool { return len(w.upReqs) > 0 && strings.Contains(w.upReqs[0], "hello") })
			p.write(c, " world", !tc.trailers)
			if tc.trailers {
				c.s.Trailers([]h2.Field{pair("x-sum", "7"), pair("x-sluice-user", "me")})
				p.flush()
			}
			w.until("the response", func() bool { return c.done })
			if _, body, _ := strings.Cut(w.upReqs[0], "\r\n\r\n"); body != tc.want {
				t.Errorf("the upstream got %q, want %q", body, tc.want)
			}
			if c.body.String() != "hi" || c.trailers != "x-end: yes\n" {
				t.Errorf("body %q, trailers %q", c.body.String(), c.trailers)
			}
			p.Close()
			w.noneLeft()
		})
	}
}

// A client that ends its body early resets its stream; the upstream must not take what came for a whole request.
func TestH2RequestIsCut(t *testing.T) {
	for name, cut := range map[string]func(p *h2peer, c *h2call){
		"reset":         func(p *h2peer, c *h2call) { c.s.Reset(h2.Cancel); p.flush() },
		"half a close":  func(p *h2peer, c *h2call) { p.CloseWrite() },
		"whole a close": func(p *h2peer, c *h2call) { p.Abort() },
	} {
		t.Run(name, func(t *testing.T) {
			w := h2Walk(t, Config{})
			w.open()
			var up *sim.Sock
			broken := false
			w.net.Listen("up:1").Accept(func(s *sim.Sock) {
				up = s
				s.SetEvents(sim.Events{Data: func([]byte) {}, Reset: func() { broken = true }, EOF: func() { t.Error("the upstream saw FIN"); s.Close() }})
			})
			p := w.dialH2("web")
			c := p.call("POST", "/", false)
			p.write(c, "half", false)
			w.until("the upstream has it", func() bool { return up != nil })
			w.sleep(time.Second)
			cut(p, c)
			w.until("the upstream is reset", func() bool { return broken })
			p.Abort()
			w.noneLeft()
		})
	}
}

// Who does not read one response holds up neither the others on its connection nor the memory of the proxy.
func TestH2SlowStream(t *testing.T) {
	w := h2Walk(t, Config{WriteTimeout: 20 * time.Second, MinRate: 1})
	w.open()
	big := strings.Repeat("x", 4<<20)
	w.upstream(func(s *sim.Sock, got []byte) {
		switch {
		case !bytes.HasSuffix(got, []byte("\r\n\r\n")):
		case bytes.Contains(got, []byte("GET /big")):
			s.Write([]byte(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(big)) + big))
		default:
			s.Write([]byte(ok))
		}
	})
	p := w.dialH2("web")
	p.greedy = true
	slow := p.call("GET", "/big", true)
	w.until("the slow one stands", func() bool { return slow.body.Len() >= 65535 })
	p.greedy = false
	for range 20 {
		c := p.call("GET", "/", true)
		w.until("a neighbour's response", func() bool { return c.done })
	}
	held := 0
	for _, r := range w.core.loops[0].roles {
		if c, ok := r.(*h2Conn); ok {
			held += c.core.Queued() + w.core.loops[0].sh.Queued(c.id)
		}
	}
	if held > 3*highWater {
		t.Errorf("%d bytes wait for a client that reads nothing", held)
	}
	if w.core.Stats().Dropped > 0 {
		t.Fatal("it was given up before its time")
	}
	w.until("it is given up", func() bool { return slow.reset != nil })
	if slow.reset.Code != h2.Cancel || w.core.Stats().Slow != 1 {
		t.Errorf("reset %+v, %d slow", slow.reset, w.core.Stats().Slow)
	}
	c := p.call("GET", "/", true)
	w.until("the connection lives", func() bool { return c.done })
	p.Close()
	w.noneLeft()
}

// An upstream that takes no body stops the client by its window, and nobody else.
func TestH2SlowUpstream(t *testing.T) {
	w := h2Walk(t, Config{})
	w.net.Window = 4096
	w.open()
	var up *sim.Sock
	got := 0
	w.net.Listen("up:1").Accept(func(s *sim.Sock) {
		if up == nil {
			up = s
			s.Pause()
			s.SetEvents(sim.Events{Data: func(b []byte) {
				if got += len(b); bytes.HasSuffix(b, []byte("\r\n0\r\n\r\n")) {
					s.Write([]byte(ok))
				}
			}, EOF: func() { s.Close() }})
			return
		}
		s.SetEvents(sim.Events{Data: func(b []byte) { s.Write([]byte(ok)) }, EOF: func() { s.Close() }})
	})
	p := w.dialH2("web")
	c := p.call("POST", "/", false)
	p.write(c, strings.Repeat("x", 1<<20), true)
	other := p.call("GET", "/", true)
	w.until("the neighbour's response", func() bool { return other.done })
	w.sleep(10 * time.Second)
	if sent := 1<<20 - c.s.Queued(); sent > 600<<10 {
		t.Errorf("the client could send %d bytes that nobody takes", sent)
	}
	up.Resume()
	w.until("the response", func() bool { return c.done })
	if got < 1<<20 {
		t.Errorf("the upstream got %d bytes", got)
	}
	p.Close()
	w.noneLeft()
}

// A refusal reaches a client that is still sending, and its connection stays.
func TestH2EarlyAnswer(t *testing.T) {
	w := h2Walk(t, Config{})
	w.open()
	w.core.gate.Load().routes[0].Authorizer = denyAll{}
	p := w.dialH2("web")
	c := p.call("POST", "/", false)
	p.write(c, strings.Repeat("x", 1<<20), false)
	w.until("the answer", func() bool { return c.reset != nil })
	if c.status != "403" || !c.whole || c.reset.Code != h2.NoError || !strings.Contains(c.head, "x-sluice-reason: reject\n") {
		t.Errorf("status %s, whole %v, reset %+v, head %s", c.status, c.whole, c.reset, c.head)
	}
	c = p.call("GET", "/", true)
	w.until("the next", func() bool { return c.done })
	if c.status != "403" {
		t.Errorf("status %s", c.status)
	}
	p.Close()
	w.noneLeft()
}

// A response that its upstream cuts short is reset, and never looks whole.
func TestH2Truncated(t *testing.T) {
	for name, head := range map[string]string{
		"by length": "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
		"chunked":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := h2Walk(t, Config{})
			w.open()
			w.upstream(func(s *sim.Sock, got []byte) {
				if bytes.HasSuffix(got, []byte("\r\n\r\n")) {
					s.Write([]byte(head))
					s.Close()
				}
			})
			p := w.dialH2("web")
			c := p.call("GET", "/", true)
			w.until("the end", func() bool { return c.reset != nil })
			if c.whole || c.reset.Code != h2.InternalError {
				t.Errorf("whole %v, reset %+v", c.whole, c.reset)
			}
			p.Close()
			w.noneLeft()
		})
	}
}

// The preface may come in any pieces, and what only begins like it is HTTP/1.1.
func TestH2Preface(t *testing.T) {
	w := h2Walk(t, Config{})
	w.open()
	w.simple(ok)
	c := w.dial("web")
	for _, b := range []byte(h2.Preface) {
		c.Write([]byte{b})
		w.sleep(10 * time.Millisecond)
	}
	w.until("the server's SETTINGS", func() bool { return len(c.got) > 9 && c.got[3] == 4 })
	c.Close()
	c = w.dial("web")
	for _, part := range []string{"P", "R", "OPFIND / HTTP/1.1\r\nHost: a\r\n\r\n"} {
		c.Write([]byte(part))
		w.sleep(10 * time.Millisecond)
	}
	w.until("the answer", c.has("200 OK"))
	c.Close()
	c = w.dial("web")
	c.Write([]byte("PRI * HT"))
	w.until("the timeout", c.has("HTTP/1.1 408 "))
	c.Close()
	w.noneLeft()

	w = newWalk(t, Config{})
	w.open()
	c = w.dial("web")
	c.Write([]byte(h2.Preface))
	w.until("the refusal", c.has("HTTP/1.1 505 "))
}

// Heads that HTTP/2 allows and HTTP/1.1 has no form for are refused, not repaired.
func TestH2HeadsAreJudgedAsHTTP1(t *testing.T) {
	w := h2Walk(t, Config{})
	w.open()
	w.simple(ok)
	p := w.dialH2("web")
	for name, tc := range map[string]struct {
		path   string
		fields []string
		status string
	}{
		"encoded slash":   {"/a%2fb", nil, "400"},
		"expectation":     {"/", []string{"expect: 200-maybe"}, "417"},
		"method override": {"/", []string{"x-http-method-override: DELETE"}, "400"},
		"fragment":        {"/a#b", nil, "400"},
	} {
		c := p.call("GET", tc.path, true, tc.fields...)
		w.until(name, func() bool { return c.done || c.reset != nil })
		if c.status != tc.status {
			t.Errorf("%s: status %q, want %s", name, c.status, tc.status)
		}
	}
	if len(w.upReqs) > 0 {
		t.Errorf("the upstream got %q", w.upReqs)
	}
}

// sleep lets time go by.
func (w *walk) sleep(d time.Duration) {
	over := false
	w.net.After(d, func() { over = true })
	w.net.Run(d+time.Second, func() bool { return over })
}

// The stop begins as in the product.
func (w *walk) lameDuck() { w.tracker.Leave(); w.core.Tell() }
func (w *walk) drainFor(d time.Duration) {
	w.tracker.BeginDrain(w.net.Now(), w.net.Now().Add(d))
	w.core.Patrol()
	w.core.Tell()
}

// Every connection is told twice, and what it sent before it could know is served.
func TestH2Goodbye(t *testing.T) {
	w := h2Walk(t, Config{})
	w.open()
	w.simple(ok)
	p, quiet := w.dialH2("web"), w.dialH2("web")
	first := p.call("GET", "/1", true)
	w.until("the first response", func() bool { return first.done })
	w.until("the quiet one is known", func() bool { return w.core.Stats().Open == 2 && quiet.core.Err() == nil })
	w.lameDuck()
	w.until("the notice", func() bool { return len(p.goaways) == 1 && len(quiet.goaways) == 1 })
	if p.goaways[0] != 1<<31-1 || p.codes[0] != h2.NoError {
		t.Errorf("GOAWAY %v %v", p.goaways, p.codes)
	}
	late := w.dialH2("web")
	c := late.call("GET", "/late", true)
	w.until("who comes in the lame duck is served", func() bool { return c.done })
	w.sleep(time.Second)
	if len(late.goaways) > 0 {
		t.Error("who came in the lame duck was told before draining")
	}
	if p.eof || len(p.goaways) > 1 {
		t.Error("the connection was ended in the lame duck")
	}
	crossing := late.call("GET", "/crossing", true) // on its way when the drain begins
	w.drainFor(10 * time.Second)
	w.until("all are gone", func() bool { return p.eof && quiet.eof && late.eof })
	if !crossing.done || crossing.status != "200" {
		t.Errorf("a request that crossed with the goodbye: %+v", crossing)
	}
	if len(late.goaways) != 2 || late.goaways[1] != 3 {
		t.Errorf("GOAWAYs %v, want the last stream in the second", late.goaways)
	}
	w.until("drained", func() bool { return w.tracker.State() == drain.Drained })
	r := w.tracker.Receipt()
	if err := r.Audit(); err != nil || r.CutTotal != 0 || r.Told != 3 || r.Exchanges.LameDuck+r.Exchanges.Draining != 2 {
		t.Errorf("audit %v; receipt %+v", err, r.Exchanges)
	}
	if n := w.core.Stats().HTTP2.Unheard; n != 0 {
		t.Errorf("%d goodbyes count as not answered", n)
	}
	w.noneLeft()
}

// What a client sends behind its answer to the notice, because it was begun before, is served: libraries do that whose requests and
// reader are threads of their own.
func TestH2GoodbyeCrossedByTheAnswer(t *testing.T) {
	w := h2Walk(t, Config{})
	w.open()
	w.simple(ok)
	w.lameDuck()
	p := w.dialH2("web") // in the lame duck: it is told when draining begins
	c := p.call("GET", "/", true)
	w.until("the response", func() bool { return c.done })
	p.mute = true
	late := p.call("POST", "/late", true)
	held := p.core.Append(nil, 1<<16) // its goroutine is slow
	p.mute = false
	w.drainFor(10 * time.Second)
	w.until("the notice is answered", func() bool { return len(p.goaways) == 1 })
	w.sleep(noticeSettle / 2)
	p.Write(held)
	w.until("it is gone", func() bool { return p.eof })
	if !late.done || late.status != "200" {
		t.Errorf("behind the answer: %+v", late)
	}
	if len(p.goaways) != 2 || p.goaways[1] != 3 {
		t.Errorf("GOAWAYs %v, want the last stream in the second", p.goaways)
	}
}

// A client that does not answer the PING is told its last stream after two seconds all the same.
func TestH2GoodbyeUnheard(t *testing.T) {
	w := h2Walk(t, Config{})
	w.open()
	w.simple(ok)
	p := w.dialH2("web")
	c := p.call("GET", "/", true)
	w.until("the response", func() bool { return c.done })
	p.mute = true
	began := w.net.Now()
	w.lameDuck()
	w.drainFor(10 * time.Second)
	w.until("it is closed", func() bool { return p.eof })
	if took := w.net.Now().Sub(began); took < noticeWait || took > noticeWait+time.Second {
		t.Errorf("it took %v", took)
	}
	if n := w.core.Stats().HTTP2.Unheard; n != 1 {
		t.Errorf("%d goodbyes count as not answered, want 1", n)
	}
}

// At the deadline every stream is cut in a way that its client can tell, and each is named and counted.
func TestH2Cut(t *testing.T) {
	w := h2Walk(t, Config{})
	w.open()
	w.upstream(func(s *sim.Sock, got []byte) {
		if bytes.Contains(got, []byte("/begun")) && bytes.HasSuffix(got, []byte("\r\n\r\n")) {
			s.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
		}
	})
	p := w.dialH2("web")
	begun, silent, also := p.call("GET", "/begun", true), p.call("GET", "/silent", true), p.call("GET", "/also", true)
	w.until("the beginning of one", func() bool { return begun.body.Len() == 4 && len(w.upReqs) == 3 })
	_, r := w.cutIn(3 * time.Second)
	w.until("the end", func() bool { return p.eof || p.reset })
	if begun.whole || begun.reset == nil {
		t.Errorf("the response that had begun: whole %v, reset %v", begun.whole, begun.reset)
	}
	for _, c := range []*h2call{silent, also} {
		if c.status != "503" || !c.whole || !strings.Contains(c.head, "x-sluice-reason: drain_deadline\n") {
			t.Errorf("status %s, whole %v, head %s", c.status, c.whole, c.head)
		}
	}
	if err := r.Audit(); err != nil || r.CutTotal != 1 || r.Exchanges.Interrupted != 3 || len(r.Cut[0].Requests) != 3 {
		t.Errorf("audit %v, exchanges %+v, cut %+v", err, r.Exchanges, r.Cut)
	}
	w.noneLeft()
}

// Streams time out by themselves, and the connection goes on.
func TestH2ResponseTimeout(t *testing.T) {
	w := h2Walk(t, Config{})
	w.open()
	w.upstream(func(s *sim.Sock, got []byte) {
		if bytes.Contains(got, []byte("/fast")) && bytes.HasSuffix(got, []byte("\r\n\r\n")) {
			s.Write([]byte(ok))
		}
	})
	p := w.dialH2("web")
	c, stuck := p.call("GET", "/never", true), p.call("POST", "/body", false)
	w.until("no response", func() bool { return c.done })
	if c.status != "504" {
		t.Errorf("status %s, want 504", c.status)
	}
	w.until("no body", func() bool { return stuck.whole })
	if stuck.status != "408" {
		t.Errorf("status %s, want 408", stuck.status)
	}
	fast := p.call("GET", "/fast", true)
	w.until("the next", func() bool { return fast.done })
	w.until("idle for too long", func() bool { return p.eof })
	if last := len(p.codes) - 1; last < 0 || p.codes[last] != h2.NoError {
		t.Errorf("GOAWAY %v %v", p.goaways, p.codes)
	}
	if w.core.Stats().IdleTimeouts != 1 {
		t.Error("it does not count as idle")
	}
	w.noneLeft()
}

// Silence and dribbles at the beginning are bounded.
func TestH2SlowBeginnings(t *testing.T) {
	for name, bytes := range map[string]string{
		"no SETTINGS":       h2.Preface,
		"half a frame":      h2.Preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x08\x06",
		"half a head":       h2.Preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x01\x01\x00\x00\x00\x00\x01\x82",
		"half of a payload": h2.Preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x08\x06\x00\x00\x00\x00\x00abc",
	} {
		t.Run(name, func(t *testing.T) {
			w := h2Walk(t, Config{HeaderTimeout: 5 * time.Second})
			w.open()
			c := w.dial("web")
			began := w.net.Now()
			c.Write([]byte(bytes))
			w.until("the end", func() bool { return c.eof || c.reset })
			if took := w.net.Now().Sub(began); took < 5*time.Second || took > 7*time.Second {
				t.Errorf("it took %v", took)
			}
			c.Close()
			w.noneLeft()
		})
	}
}

// Old and well-used connections are told to leave, and lose nothing by it.
func TestH2Retires(t *testing.T) {
	for name, lim := range map[string]HTTP2{"requests": {MaxRequests: 10}, "age": {MaxAge: 20 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			w := h2Walk(t, Config{HTTP2: lim})
			w.open()
			w.simple(ok)
			p := w.dialH2("web")
			began, n := w.net.Now(), 0
			for len(p.goaways) == 0 {
				c := p.call("GET", "/", true)
				n++
				w.until("a response", func() bool { return c.done })
				w.sleep(time.Second)
			}
			w.until("it is closed", func() bool { return p.eof })
			age := w.net.Now().Sub(began)
			if name == "requests" && n != 10 || name == "age" && (age < 18*time.Second || age > 24*time.Second) {
				t.Errorf("told after %d requests and %v", n, age)
			}
			w.noneLeft()
		})
	}
}

// A panic over one stream ends that one.
func TestH2PanicIsContained(t *testing.T) {
	struck := -1
	calls := 0
	w := h2Walk(t, Config{Faults: Faults{Panic: func(engine.ConnID) bool { calls++; return calls == struck }}})
	w.open()
	w.simple(ok)
	p := w.dialH2("web")
	for at := 1; at <= 12; at++ {
		one, two := p.call("GET", "/1", true), p.call("GET", "/2", true)
		struck = calls + at
		w.until("both end", func() bool { return (one.done || one.reset != nil) && (two.done || two.reset != nil) })
		if one.status != "200" && two.status != "200" {
			t.Errorf("at %d: %s and %s: one panic struck both", at, one.status, two.status)
		}
		if n := w.core.Orphans(); n > 0 {
			t.Fatalf("at %d: %d exchanges wait for nobody", at, n)
		}
	}
	if n := w.core.Stats().Panics["walk"]; n == 0 {
		t.Error("no panic struck")
	}
	p.Close()
	w.noneLeft()
}

// Before the policy is in force a request is refused, and the connection is told to leave; one that waits gets its place.
func TestH2BeforeThePolicy(t *testing.T) {
	w := h2Walk(t, Config{})
	w.simple(ok)
	p, waits := w.dialH2("web"), w.dialH2("web")
	c := p.call("GET", "/", true)
	w.until("the refusal", func() bool { return c.whole && p.eof })
	if c.status != "503" || !strings.Contains(c.head, "x-sluice-reason: policy_unsynced\n") || len(p.goaways) == 0 {
		t.Errorf("status %s, %s, GOAWAYs %v", c.status, c.head, p.goaways)
	}
	w.open()
	w.core.Admitted()
	c = waits.call("GET", "/", true)
	w.until("the response", func() bool { return c.done })
	if c.status != "200" || len(w.upReqs) != 1 {
		t.Errorf("status %s, %d upstream connections", c.status, len(w.upReqs))
	}
	waits.Close()
	w.noneLeft()
}

// What a client sends before it hears that it has to leave is answered, and not refused by the final GOAWAY, as ever.
func TestH2RefusalsCross(t *testing.T) {
	w := h2Walk(t, Config{})
	w.simple(ok)
	p := w.dialH2("web")
	first := p.call("GET", "/", true)
	w.until("the refusal is on its way", func() bool { return w.core.Stats().Listeners[0].Refused["policy_unsynced"] == 1 })
	if first.whole {
		t.Fatal("it has arrived")
	}
	second := p.call("GET", "/", true)
	w.until("both refusals", func() bool { return first.done && second.done && p.eof })
	if first.status != "503" || second.status != "503" || second.reset != nil {
		t.Errorf("status %s and %s, reset %v", first.status, second.status, second.reset)
	}
	w.noneLeft()
}

// Who was refused, and is admitted before it hears that it has to leave, is served.
func TestH2RefusedThenAdmitted(t *testing.T) {
	w := h2Walk(t, Config{})
	w.simple(ok)
	p := w.dialH2("web")
	first := p.call("GET", "/", true)
	w.until("the refusal is on its way", func() bool { return w.core.Stats().Listeners[0].Refused["policy_unsynced"] == 1 })
	w.sleep(200 * time.Microsecond) // the refusal has left, and has not arrived
	if first.whole {
		t.Fatal("it has arrived")
	}
	w.open()
	w.core.Admitted()
	second := p.call("GET", "/", true)
	w.until("both answers", func() bool { return first.done && second.done })
	if first.status != "503" || second.status != "200" || p.eof {
		t.Errorf("status %s and %s; closed: %v", first.status, second.status, p.eof)
	}
	p.Close()
	w.noneLeft()
}

// One connection of HTTP/2 cannot take the upstream connections that others have a right to.
func TestH2StreamsLeaveDescriptors(t *testing.T) {
	w := h2Walk(t, Config{MaxConnections: 10})
	w.open()
	w.upstream(func(*sim.Sock, []byte) {})
	p, other := w.dialH2("web"), w.dial("web")
	var calls []*h2call
	for range 30 {
		calls = append(calls, p.call("GET", "/", true))
	}
	w.sleep(time.Second)
	other.Write([]byte("GET /other HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("the other has its connection", func() bool { return strings.Contains(strings.Join(w.upReqs, ""), "/other") })
	refused := 0
	for _, c := range calls {
		if c.whole {
			if refused++; c.status != "503" || !strings.Contains(c.head, "x-sluice-reason: upstream_limit\n") {
				t.Errorf("status %s: %s", c.status, c.head)
			}
		}
	}
	if n := w.core.Stats().UpstreamsOpen; refused != 22 || n != 9 {
		t.Errorf("%d refused, %d upstream connections", refused, n)
	}
	p.Close()
	other.Close()
	w.noneLeft()
}

// A client that has closed its half gets what its windows let through, and nothing is kept for it beyond that.
func TestH2HalfClosedWithoutWindow(t *testing.T) {
	w := h2Walk(t, Config{})
	w.open()
	w.simple("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000))
	p := w.dialH2("web")
	p.greedy = true
	c := p.call("GET", "/", true)
	w.until("the window is used", func() bool { return c.body.Len() == 65535 })
	p.CloseWrite()
	began := w.net.Now()
	w.until("the end", func() bool { return p.eof })
	if c.whole || w.net.Now().Sub(began) > 5*time.Second {
		t.Errorf("whole %v after %v", c.whole, w.net.Now().Sub(began))
	}
	p.Close()
	w.noneLeft()
}

// A client that closes its half behind its last request and gets its answer has lost nothing, and none is counted.
func TestH2HalfClosedIsAccounted(t *testing.T) {
	w := h2Walk(t, Config{})
	w.open()
	w.simple(ok)
	p := w.dialH2("web")
	w.lameDuck()
	c := p.call("GET", "/last", true)
	p.CloseWrite()
	w.until("the response", func() bool { return c.done })
	w.drainFor(time.Second)
	w.until("drained", func() bool { return w.tracker.State() == drain.Drained })
	r := w.tracker.Receipt()
	if err := r.Audit(); err != nil || r.Exchanges.LameDuck+r.Exchanges.Draining != 1 || r.Exchanges.Failed != 0 {
		t.Errorf("audit %v, exchanges %+v", err, r.Exchanges)
	}
	w.noneLeft()
}

// A request that is longer than it says reaches nobody as a whole, whenever its frames come; one that ends with an empty
// frame does.
func TestH2LongerThanAnnounced(t *testing.T) {
	for name, tc := range map[string]struct {
		length, body string
		more         bool
	}{
		"nothing, and more": {"0", "", true},
		"five, and more":    {"5", "hello", true},
		"nothing":           {"0", "", false},
		"five":              {"5", "hello", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := h2Walk(t, Config{})
			w.open()
			got := ""
			w.upstream(func(s *sim.Sock, b []byte) {
				got += string(b)
				if strings.HasSuffix(got, "\r\n\r\nhello") || strings.HasSuffix(got, "\r\n0\r\n\r\n") {
					s.Write([]byte(ok))
				}
			})
			p := w.dialH2("web")
			c := p.call("POST", "/", false, "content-length: "+tc.length)
			w.sleep(50 * time.Millisecond)
			if tc.body != "" {
				p.write(c, tc.body, false)
				w.sleep(50 * time.Millisecond)
			}
			if tc.more {
				// The core of the peer would not send it.
				p.Write([]byte("\x00\x00\x04\x00\x01\x00\x00\x00\x01more"))
				w.until("the reset", func() bool { return c.reset != nil })
				if strings.Contains(got, "hello") || strings.Contains(strings.ToLower(got), "content-length: 0") || strings.Contains(got, "0\r\n\r\n") {
					t.Errorf("the upstream got what looks whole: %q", got)
				}
			} else {
				p.write(c, "", true)
				w.until("the response", func() bool { return c.done })
				if c.status != "200" {
					t.Errorf("status %s", c.status)
				}
			}
			p.Close()
			w.noneLeft()
		})
	}
}

// A panic while a connection ends leaves none of its exchanges in the account.
func TestH2PanicAtTheEnd(t *testing.T) {
	struck, calls := -1, 0
	w := h2Walk(t, Config{Faults: Faults{Panic: func(engine.ConnID) bool { calls++; return calls == struck }}})
	w.open()
	w.upstream(func(*sim.Sock, []byte) {})
	for at := 1; at <= 3; at++ {
		p := w.dialH2("web")
		for range 3 {
			p.call("GET", "/", true)
		}
		w.sleep(time.Second)
		struck = calls + at
		p.Abort()
		w.noneLeft()
	}
	if n := w.core.Stats().Panics["walk"]; n != 3 {
		t.Errorf("%d panics, want 3", n)
	}
}

// Who was told in a lame duck that was undone, and stays all the same, is told to leave for good once its time has come.
func TestH2RetiresAfterAnUndoneLameDuck(t *testing.T) {
	for name, lim := range map[string]HTTP2{"requests": {MaxRequests: 8}, "age": {MaxAge: 20 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			w := h2Walk(t, Config{HTTP2: lim})
			w.open()
			w.simple(ok)
			c := w.dial("web") // raw: the core of a peer would open nothing more
			c.Write([]byte(h2.Preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
			w.sleep(time.Second)
			w.lameDuck()
			w.until("the notice", func() bool { return len(goaways(c.got)) == 1 })
			if err := w.tracker.Open(); err != nil {
				t.Fatal(err)
			}
			w.sleep(5 * time.Second)
			for id := byte(1); !c.eof && id < 50; id += 2 {
				if name == "requests" { // GET, http, /, and the authority a
					c.Write([]byte{0, 0, 6, 1, 5, 0, 0, 0, id, 0x82, 0x86, 0x84, 0x01, 1, 'a'})
				}
				w.sleep(time.Second)
			}
			if all := goaways(c.got); !c.eof || len(all) < 2 || all[1] == 1<<31-1 {
				t.Errorf("closed %v, GOAWAYs %v", c.eof, all)
			}
			c.Close()
			w.noneLeft()
		})
	}
}

// goaways are the last streams that the GOAWAYs among frames name.
func goaways(frames string) (all []uint32) {
	for len(frames) >= 9 {
		n := int(frames[0])<<16 | int(frames[1])<<8 | int(frames[2])
		if len(frames) < 9+n {
			return all
		}
		if frames[3] == 7 {
			p := frames[9:]
			all = append(all, (uint32(p[0])<<24|uint32(p[1])<<16|uint32(p[2])<<8|uint32(p[3]))&(1<<31-1))
		}
		frames = frames[9+n:]
	}
	return all
}

// The limits of heads are for those of others: an answer of our own is sent whatever they are.
func TestH2AnswersUnderSmallLimits(t *testing.T) {
	w := h2Walk(t, Config{Limits: h1.Limits{Head: 1 << 10, Line: 256, Fields: 1}})
	w.open()
	w.core.gate.Load().routes[0].Authorizer = denyAll{}
	p := w.dialH2("web")
	c := p.call("GET", "/", true)
	w.until("the answer", func() bool { return c.done })
	if c.status != "403" {
		t.Errorf("status %s", c.status)
	}
	p.Close()
	w.noneLeft()
}

// An answer to HEAD has no body, for whatever reason it is refused.
func TestH2HeadIsRefusedWithoutABody(t *testing.T) {
	w := h2Walk(t, Config{})
	w.open()
	p := w.dialH2("web")
	for _, path := range []string{"/a#b", "/a%2fb"} {
		c := p.call("HEAD", path, true)
		w.until("the answer", func() bool { return c.done || c.reset != nil })
		if c.status != "400" || c.reset != nil {
			t.Errorf("%s: status %s, reset %+v", path, c.status, c.reset)
		}
	}
	p.Close()
	w.noneLeft()
}

// Who never lets a read end with a frame is not slow: each of the frames was whole in time.
func TestH2ReadsThatEndWithinFrames(t *testing.T) {
	w := h2Walk(t, Config{HeaderTimeout: 5 * time.Second})
	w.open()
	c := w.dial("web")
	const ping = "\x00\x00\x08\x06\x00\x00\x00\x00\x00abcdefgh"
	c.Write([]byte(h2.Preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + ping[:12]))
	for range 20 {
		w.sleep(time.Second)
		c.Write([]byte(ping[12:] + ping[:12]))
	}
	w.sleep(time.Second)
	if c.eof || c.reset {
		t.Fatal("it was ended")
	}
	w.until("the end of one that does not go on", func() bool { return c.eof || c.reset })
	c.Close()
	w.noneLeft()
}
