package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/route"
)

// What crosses with the end of a session or a policy: streams that begin late, a drain, ends of their own, panics.

// The answers of TestStreamBeginsTooLate that are whole although nobody declared their length, and one that has no end.
const (
	lateChunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	lateClose  = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"
	lateOpen   = "HTTP/1.1 200 Yes\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
	lateEvents = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
)

// TestStreamBeginsTooLate: a request that waits is left alone; its answer is refused if it is a tunnel or a stream of events, before its first
// byte, passed on if it has a length or ends by itself at once, and truncated otherwise.
func TestStreamBeginsTooLate(t *testing.T) {
	for _, e := range endings[:3] {
		for _, begins := range []string{lateChunks, lateClose, lateOpen, lateEvents, strings.Replace(switchesWS, "websocket", "raw", 1), ok} {
			for _, h2 := range []bool{false, true} {
				if h2 && strings.Contains(begins, " 101 ") {
					begins = strings.Replace(begins, "raw", "websocket", 1)
				}
				t.Run(fmt.Sprintf("%v, %q, h2 %v", e.why, begins[9:34], h2), func(t *testing.T) { beginsTooLate(t, e, begins, h2) })
			}
		}
	}
}

func beginsTooLate(t *testing.T, e ending, begins string, h2 bool) {
	w := newWalk(t, Config{Sessions: newLogins(), Listeners: []ListenerConfig{{Name: "web", HTTP2: true}}})
	w.open()
	k := w.guard()
	if e.begin != nil {
		e.begin(w, k)
	}
	var up *sim.Sock
	gone, key := false, ""
	w.net.Listen("up:1").Accept(func(s *sim.Sock) {
		s.SetEvents(sim.Events{Data: func(b []byte) {
			up = s
			if _, v, found := strings.Cut(string(b), "Sec-WebSocket-Key: "); found {
				key, _, _ = strings.Cut(v, "\r\n")
			}
		}, Reset: func() { gone = true }, EOF: func() { gone = true }})
	})
	upgrade := strings.Contains(begins, " 101 ")
	var got func() string
	cut := false
	if h2 {
		p := w.dialH2("web")
		defer p.Close()
		var c *h2call
		if upgrade {
			c = p.call("CONNECT", "/", false, ":protocol: websocket", "x-login: ann")
		} else {
			c = p.call("GET", "/", true, "x-login: ann")
		}
		got = func() string {
			cut = cut || c.reset != nil && !c.whole
			return c.status + "\n" + c.head + c.body.String()
		}
	} else {
		c := w.dial("web")
		defer c.Close()
		head := "GET / HTTP/1.1\r\nHost: a\r\nX-Login: ann\r\n"
		if upgrade {
			head += "Connection: Upgrade\r\nUpgrade: raw\r\n"
		}
		c.Write([]byte(head + "\r\n"))
		got = func() string {
			cut = cut || (c.eof || c.reset) && !strings.Contains(c.got, "\r\n0\r\n\r\n")
			_, s, _ := strings.Cut(c.got, " ")
			return s
		}
	}
	w.until("the request", func() bool { return up != nil })
	e.bye(w, k)
	w.pass(2 * time.Second)
	if gone || len(got()) > 1 {
		t.Fatalf("the request did not wait: %q", got())
	}
	if h2 && upgrade {
		begins = switching(key)
	}
	up.Write([]byte(begins))
	if begins == lateClose {
		up.CloseWrite()
	}
	want := "401"
	switch {
	case begins == ok, begins == lateChunks, begins == lateClose, begins == lateOpen:
		want = "200"
	case e.why == policyChanged:
		want = "403"
	}
	w.until("an answer", func() bool { return strings.HasPrefix(got(), want) })
	switch {
	case begins == lateOpen:
		w.within(time.Second, "its end", func() bool { return strings.Contains(got(), "hello") && cut })
		w.barred(e.why, 1)
		return
	case want == "200":
		w.until("all of it", func() bool {
			return strings.HasSuffix(strings.TrimSuffix(got(), "\r\n0\r\n\r\n"), begins[len(begins)-2:]) || strings.Contains(got(), "hello")
		})
		w.pass(2 * time.Second)
		if h2 && cut {
			t.Error("it was reset")
		}
		w.barred(e.why, 0)
		return
	}
	w.until("the upstream is given up", func() bool { return gone })
	w.pass(100 * time.Millisecond)
	if s := got(); !strings.Contains(strings.ToLower(s), "x-sluice-reason: "+e.why.String()) || strings.Contains(s, "hello") {
		t.Errorf("%q", s)
	}
	w.barred(e.why, 1)
}

// TestDrainDoesNotCountItAsCut: while draining a session that ends ends its streams as ever, and the receipt calls nothing cut.
func TestDrainDoesNotCountItAsCut(t *testing.T) {
	onEvery(t, pairings, func(t *testing.T, p pairing) {
		for _, answers := range []bool{true, false} {
			x := newCross(t, p, Config{Sessions: newLogins()})
			k := x.guard()
			client, server := x.login("ann")
			x.drain(20 * time.Second)
			x.core.Tell()
			x.pass(time.Second)
			k.revoked["ann"] = true
			x.core.Recheck()
			x.walk.within(time.Second, "the Close", func() bool {
				client.look()
				server.look()
				return wholeClose(client.got) && wholeClose(server.got)
			})
			if answers {
				client.send(wsFrame(8, "\x03\xf0", true))
				server.send(wsFrame(8, "\x03\xf0", false))
				server.finish()
				client.finish()
			}
			began := x.net.Now()
			r := x.receiptOf()
			if took := x.net.Now().Sub(began); !r.Clean() || took > 3*time.Second || r.Outcomes.Cut != 0 {
				t.Errorf("answers %v: after %v receipt %v, %+v", answers, took, r, r.Outcomes)
			}
			x.walk.barred(sessionRevoked, 1)
		}
	})
}

// TestHeadlessTunnelIsEnded: the client is gone, and what it sent is still on its way: that ends, too, in a drain as well.
func TestHeadlessTunnelIsEnded(t *testing.T) {
	for _, draining := range []bool{false, true} {
		w := newWalk(t, Config{Sessions: newLogins()})
		w.net.Window = 512
		w.open()
		k := w.guard()
		var up *sim.Sock
		got, reset := "", false
		w.net.Listen("up:1").Accept(func(s *sim.Sock) {
			up = s
			s.SetEvents(sim.Events{Data: func(b []byte) {
				if got += string(b); strings.HasSuffix(got, "\r\n\r\n") {
					got = ""
					s.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n"))
				}
			}, Reset: func() { reset = true }})
		})
		c := w.dial("web")
		c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: raw\r\nX-Login: ann\r\n\r\n"))
		w.until("the 101", c.has("\r\n\r\n"))
		up.Pause()
		c.Write([]byte(strings.Repeat("x", 20_000)))
		w.until("it waits for the upstream", func() bool { return up.Peer().Queued() > 10_000 })
		if draining {
			w.drain(20 * time.Second)
		}
		c.Abort()
		w.until("the head is off", func() bool { return len(w.core.loops[0].headless) == 1 })
		k.revoked["ann"] = true
		w.core.Recheck()
		up.Resume()
		w.within(time.Second, "the upstream hears of it", func() bool { return reset })
		if len(got) >= 20_000 {
			t.Errorf("all %d bytes were passed on", len(got))
		}
		w.noneLeft()
		w.nothingHeld()
		w.barred(sessionRevoked, 1)
		if draining {
			w.until("drained", func() bool { return w.tracker.State() == drain.Drained })
			if r := w.tracker.Receipt(); r.Outcomes.Cut != 0 || r.Audit() != nil {
				t.Errorf("%v %v", r, r.Audit())
			}
		}
	}
}

// TestNewRouteJudges: a stream is judged by the route that its request has now, and ends where that does not know who vouched for it.
func TestNewRouteJudges(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *Snapshot)
		ends   streamEnd
	}{
		"the same":            {func(*Snapshot) {}, goesOn},
		"no route":            {func(s *Snapshot) { s.table = emptyTable(t) }, policyChanged},
		"another login":       {func(s *Snapshot) { s.routes[0].chain = &chain{} }, policyChanged},
		"an age long reached": {func(s *Snapshot) { s.routes[0].maxStreamAge = time.Second }, streamTooOld},
		"an age":              {func(s *Snapshot) { s.routes[0].maxStreamAge = time.Minute }, streamTooOld},
		"the time":            {func(s *Snapshot) { s.routes[0].Authorizer = before(sim.Epoch.Add(5 * time.Second)) }, policyChanged},
	} {
		t.Run(name, func(t *testing.T) {
			x := newCross(t, pairing{h2Client: true}, Config{Sessions: newLogins()})
			x.guard()
			client, server := x.login("ann")
			x.pass(5 * time.Second)
			x.enforce(allowAll{}, c.change)
			x.pass(5 * time.Second)
			if c.ends == goesOn || name == "an age" {
				server.send(wsFrame(1, "on", false))
				x.until("it goes on", func() bool { return client.got == wsFrame(1, "on", false) })
			}
			if c.ends != goesOn {
				x.until("its end", func() bool {
					return strings.HasSuffix(client.got, c.ends.text()) || strings.Contains(client.got, c.ends.text()+"; retry")
				})
				client.send(wsFrame(8, "\x03\xf0", true))
				x.until("the Close", func() bool { return wholeClose(server.got) })
				server.finish()
				client.finish()
				x.walk.barred(c.ends, 1)
			}
			client.cut()
			x.over()
		})
	}
}

// before allows until a time.
type before time.Time

func (b before) Authorize(_ *authz.Identity, r *authz.Request) authz.Decision {
	if r.Time.Before(time.Time(b)) {
		return authz.Decision{Verdict: authz.Allow}
	}
	return authz.Decision{Reason: "time-of-day-unauthorized"}
}

func emptyTable(t *testing.T) *route.Table {
	table, err := route.Compile([]route.Spec{{Name: "elsewhere", Hosts: []string{"elsewhere.test"}, Path: route.PathSpec{Prefix: "/"}}})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// Whatever the clock of a loop stands at when a session is revoked, there is time left of the second for others to learn of it: 0.2 s
// for the list, and something to read it.
func TestNoticeIsShort(t *testing.T) {
	for phase := time.Duration(0); phase < 500*time.Millisecond; phase += 50 * time.Millisecond {
		w := newWalk(t, Config{Sessions: newLogins()})
		w.open()
		k := w.guard()
		w.simple("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("hello"))
		c := w.dial("web")
		c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nX-Login: ann\r\n\r\n"))
		w.until("a response", c.has("hello"))
		w.pass(2*time.Second + phase)
		k.revoked["ann"] = true
		w.core.Recheck()
		w.within(700*time.Millisecond, "the stream of a session that was revoked ends", func() bool { return c.eof || c.reset })
		w.barred(sessionRevoked, 1)
	}
}
