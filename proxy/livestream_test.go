package proxy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// Open streams whose session, policy or age ends, with both peers written by hand.

// logins is an authenticator that finds a session by the field X-Login, and says which have ended.
type logins struct {
	of      map[string]*authz.Identity
	revoked map[string]bool
	life    time.Duration // of ann's
}

func newLogins() *logins {
	return &logins{of: map[string]*authz.Identity{}, revoked: map[string]bool{}, life: 12 * time.Hour}
}

func (*logins) Name() string            { return "login" }
func (*logins) ChallengeHeader() string { return "Login" }

func (k *logins) Try(r *authz.Request) (*authz.Identity, authz.Verdict) {
	v, n := r.Fields.Field("x-login")
	if n == 0 {
		return nil, authz.Deny
	}
	id := k.of[string(v)]
	if id == nil {
		id = &authz.Identity{Method: "login", User: string(v), Session: &authz.Session{ID: string(v), Expires: r.Time.Add(12 * time.Hour)}}
		if id.User == "ann" {
			id.Session.Expires = r.Time.Add(k.life)
		}
		k.of[string(v)] = id
	}
	return id, authz.Allow
}

func (k *logins) Resolve(r *authz.Request) (*authz.Identity, authz.Verdict) { return k.Try(r) }

func (k *logins) Ended(s *authz.Session, now time.Time) string {
	switch {
	case k.revoked[s.ID]:
		return "session_revoked"
	case !now.Before(s.Expires):
		return "session_expired"
	}
	return ""
}

// denyUser refuses one user, or whoever has none.
type denyUser string

func (d denyUser) Authorize(id *authz.Identity, _ *authz.Request) authz.Decision {
	if id == nil && d == "" || id != nil && id.User == string(d) {
		return authz.Decision{Verdict: authz.Deny, Reason: "reject"}
	}
	return authz.Decision{Verdict: authz.Allow}
}

// guard has the route ask for logins.
func (w *walk) guard() *logins {
	k := w.core.cfg.Sessions.(*logins)
	w.core.gate.Load().routes[0].chain = &chain{Authenticators: []authz.Authenticator{k}, challenges: certificateChallenge}
	return k
}

// enforce puts a policy in force in which the route has other rules, as Stage does.
func (w *walk) enforce(rules authz.Authorizer, change func(*Snapshot)) {
	snap := *w.core.gate.Load()
	snap.routes = slices.Clone(snap.routes)
	snap.routes[0].Authorizer = rules
	snap.tcp = map[string]*tcpRoute{}
	for name, r := range w.core.gate.Load().tcp {
		c := *r
		c.Authorizer = rules
		snap.tcp[name] = &c
	}
	if change != nil {
		change(&snap)
	}
	w.core.gate.Store(&snap)
	w.core.Recheck()
}

// ending is a way in which the streams of "ann" may not go on, and what is said of it.
type ending struct {
	why   streamEnd
	begin func(w *walk, k *logins)
	bye   func(w *walk, k *logins)
}

var endings = []ending{
	{sessionRevoked, nil, func(w *walk, k *logins) { k.revoked["ann"] = true; w.core.Recheck() }},
	{sessionExpired, func(_ *walk, k *logins) { k.life = 3 * time.Second }, func(w *walk, _ *logins) { w.pass(2 * time.Second) }},
	{policyChanged, nil, func(w *walk, _ *logins) { w.enforce(denyUser("ann"), nil) }},
	{streamTooOld, func(w *walk, _ *logins) { w.core.gate.Load().routes[0].maxStreamAge = 3 * time.Second },
		func(w *walk, _ *logins) { w.pass(2 * time.Second) }},
}

// onEveryEnding opens the streams of a test, and ends them.
func onEveryEnding(t *testing.T, f func(t *testing.T, e ending)) {
	for _, e := range endings {
		t.Run(e.why.String(), func(t *testing.T) { f(t, e) })
	}
}

// barred checks what was counted, and that nothing is left in the lists.
func (w *walk) barred(why streamEnd, n uint64) {
	w.t.Helper()
	for word, got := range w.core.Stats().StreamsBarred {
		want := uint64(0)
		if word == why.String() {
			want = n
		}
		if got != want {
			w.t.Errorf("%d streams were ended for %s, want %d", got, word, want)
		}
	}
	for i, r := range w.core.loops[0].live.rosters {
		if len(r.list) > 0 {
			w.t.Errorf("roster %d still has %d streams", i, len(r.list))
		}
	}
}

// within runs the network, and complains if something takes longer.
func (w *walk) within(d time.Duration, what string, done func() bool) {
	w.t.Helper()
	began := w.net.Now()
	w.until(what, done)
	if took := w.net.Now().Sub(began); took > d {
		w.t.Errorf("%s took %v", what, took)
	}
}

// TestWebSocketMayNotGoOn: both sides get a Close, between all pairs of protocols; what comes behind is dropped; the WebSocket of somebody
// else goes on.
func TestWebSocketMayNotGoOn(t *testing.T) {
	onEveryEnding(t, func(t *testing.T, e ending) {
		onEvery(t, pairings, func(t *testing.T, p pairing) {
			x := newCross(t, p, Config{Sessions: newLogins()})
			k := x.guard()
			if e.begin != nil {
				e.begin(x.walk, k)
			}
			ann, annServer := x.login("ann")
			var bob, bobServer *wsEnd
			if e.why != streamTooOld {
				bob, bobServer = x.login("bob")
			}
			e.bye(x.walk, k)
			deadline := x.net.Now().Add(2 * time.Second) // two seconds of three are over, where time ends it
			code := 1008
			if e.why == streamTooOld {
				code = 1001
			}
			x.until("both hear of it", func() bool { return wholeClose(ann.got) && wholeClose(annServer.got) })
			if x.net.Now().After(deadline) {
				t.Errorf("it took %v more", x.net.Now().Sub(deadline))
			}
			for masked, got := range map[bool]string{false: ann.got, true: annServer.got} {
				if c, reason := said(t, got, masked); c != code || !strings.HasPrefix(reason, e.why.text()) {
					t.Errorf("masked %v: %d %q", masked, c, reason)
				}
			}
			heard := annServer.got
			ann.send(wsFrame(1, "late", true) + wsFrame(8, "\x03\xe9", true))
			annServer.send(wsFrame(1, "late", false) + wsFrame(8, "\x03\xe9", false))
			annServer.finish()
			x.until("the end", func() bool { return ann.eof || ann.reset })
			if wholeGot := annServer.got; wholeGot != heard || len(ann.got) != 2+int(ann.got[1]) {
				t.Errorf("behind the Close came %q and %q", ann.got, wholeGot[len(heard):])
			}
			if bob != nil {
				bob.send(wsFrame(1, "still here", true))
				x.until("the other goes on", func() bool { return bobServer.got == wsFrame(1, "still here", true) })
				bobServer.send(wsFrame(1, "me too", false))
				x.until("both ways", func() bool { return bob.got == wsFrame(1, "me too", false) })
				bob.cut()
			}
			ann.finish()
			x.over()
			x.walk.barred(e.why, 1)
		})
	})
}

// login opens a WebSocket of a user.
func (x *cross) login(user string) (client, server *wsEnd) {
	x.server = nil
	if x.h2Client {
		if x.peer == nil {
			x.peer = x.dialH2("web")
		}
		client = x.connect("/chat", "", "x-login: "+user)
	} else {
		c := x.dial("web")
		client = x.overSock(c.Sock, func(*wsEnd) {})
		c.Write([]byte("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
			"Sec-WebSocket-Key: " + wsKey + "\r\nX-Login: " + user + "\r\n\r\n"))
	}
	x.until("the client may talk", func() bool { return client.head != "" && x.server != nil || client.eof || client.reset })
	if x.server == nil && x.core.cfg.Faults.Panic == nil {
		x.t.Fatal("it is not open")
	}
	return client, x.server
}

// TestFrameUnderWay: a WebSocket that stands within a frame is told behind it, and reset if its end does not come.
func TestFrameUnderWay(t *testing.T) {
	for _, ends := range []bool{true, false} {
		x := newCross(t, pairing{}, Config{Sessions: newLogins()})
		k := x.guard()
		client, server := x.login("ann")
		long := wsFrame(2, strings.Repeat("x", 1000), false)
		server.send(long[:500])
		x.until("half of it", func() bool { return len(client.got) == 500 })
		k.revoked["ann"] = true
		x.core.Recheck()
		x.until("the server hears of it", func() bool { return wholeClose(server.got) })
		if ends {
			server.send(long[500:] + wsFrame(1, "more", false))
			x.until("the client, too", func() bool { return len(client.got) > len(long) && wholeClose(client.got[len(long):]) })
			if code, _ := said(t, client.got[len(long):], false); code != 1008 {
				t.Errorf("%d", code)
			}
			client.send(wsFrame(8, "\x03\xf0", true))
		}
		x.within(time.Second, "the end", func() bool { return client.reset || client.eof })
		if client.reset == ends {
			t.Errorf("ends %v, reset %v", ends, client.reset)
		}
		client.finish()
		server.finish()
		x.over()
		x.walk.barred(sessionRevoked, 1)
	}
}

// TestTunnelMayNotGoOn: other tunnels look cut, both ways.
func TestTunnelMayNotGoOn(t *testing.T) {
	onEveryEnding(t, func(t *testing.T, e ending) {
		for _, raw := range []bool{false, true} {
			if raw && (e.why == sessionRevoked || e.why == sessionExpired) {
				continue // nobody has a session there
			}
			w := newWalk(t, Config{Sessions: newLogins()})
			w.open()
			k := w.guard()
			w.core.gate.Load().tcp["db"].maxStreamAge = 3 * time.Second
			if e.why != streamTooOld {
				w.core.gate.Load().tcp["db"].maxStreamAge = 0
			}
			if e.begin != nil {
				e.begin(w, k)
			}
			var up *sim.Sock
			upReset, upGot := false, ""
			w.net.Listen("up:1").Accept(func(s *sim.Sock) {
				up = s
				s.SetEvents(sim.Events{
					Data: func(b []byte) {
						if upGot += string(b); strings.HasSuffix(upGot, "\r\n\r\n") {
							s.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n"))
						}
					},
					Reset: func() { upReset = true },
				})
			})
			var c *client
			if raw {
				c = w.dial("db")
			} else {
				c = w.dial("web")
				c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: raw\r\nX-Login: ann\r\n\r\n"))
				w.until("the 101", c.has("\r\n\r\n"))
			}
			c.Write([]byte("hello"))
			w.until("it is open", func() bool { return up != nil && strings.HasSuffix(upGot, "hello") })
			if raw && e.why == policyChanged {
				w.enforce(denyUser(""), nil)
			} else {
				e.bye(w, k)
			}
			w.within(2*time.Second, "both are reset", func() bool { return c.reset && upReset })
			w.noneLeft()
			w.nothingHeld()
			w.barred(e.why, 1)
		}
	})
}

// TestResponseMayNotGoOn: a response without a length looks truncated to each client; one that has one is finished.
func TestResponseMayNotGoOn(t *testing.T) {
	onEveryEnding(t, func(t *testing.T, e ending) {
		for _, version := range []string{"1.1", "1.0", "2"} {
			w := newWalk(t, Config{Sessions: newLogins(), Listeners: []ListenerConfig{{Name: "web", HTTP2: true}}})
			w.open()
			k := w.guard()
			if e.begin != nil {
				e.begin(w, k)
			}
			var ups []*sim.Sock
			gone := 0
			w.net.Listen("up:1").Accept(func(s *sim.Sock) {
				got := ""
				s.SetEvents(sim.Events{Data: func(b []byte) {
					if got += string(b); !strings.HasSuffix(got, "\r\n\r\n") {
						return
					}
					if strings.Contains(got, "/long") {
						s.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"))
						ups = append(ups, s)
						return
					}
					s.Write([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("hello")))
				}, Reset: func() { gone++ }})
			})
			var over, whole func() bool
			if version == "2" {
				p := w.dialH2("web")
				a, b := p.call("GET", "/", true, "x-login: ann"), p.call("GET", "/long", true, "x-login: ann")
				w.until("both", func() bool { return a.body.String() == "hello" && b.body.String() == "12345" })
				over, whole = func() bool { return a.reset != nil && !a.whole }, func() bool { return b.whole && b.body.Len() == 10 }
				defer p.Close()
			} else {
				a, b := w.dial("web"), w.dial("web")
				a.Write([]byte("GET / HTTP/" + version + "\r\nHost: a\r\nX-Login: ann\r\n\r\n"))
				b.Write([]byte("GET /long HTTP/" + version + "\r\nHost: a\r\nX-Login: ann\r\n\r\n"))
				w.until("both", func() bool { return a.has("hello")() && b.has("12345")() })
				over = func() bool { return a.eof && version == "1.1" && !a.has("0\r\n\r\n")() || a.reset && version == "1.0" }
				whole = b.has("1234567890")
				defer b.Close()
				defer a.Close()
			}
			e.bye(w, k)
			w.within(2*time.Second, "the stream is cut", func() bool { return over() && gone == 1 })
			ups[0].Write([]byte("67890"))
			w.until("what has a length is finished", whole)
			w.barred(e.why, 1)
		}
	})
}

// TestEventsEndBetweenTwo: a stream of events ends as a whole response at the end of an event, or is truncated if that does not come.
func TestEventsEndBetweenTwo(t *testing.T) {
	for _, rest := range []string{"", "two\n\ndata: three\n\n", "never"} {
		s := openStream(t, streamGoesOn, "1.1", "")
		s.core.cfg.Sessions = newLogins()
		k := s.guard()
		s.client.Close()
		s.up = nil
		s.client = s.dial("web")
		s.client.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nX-Login: ann\r\n\r\n"))
		s.until("the request", func() bool { return s.up != nil })
		s.upGone = false
		s.up.Write([]byte("HTTP/1.1 200 OK\r\n" + chunkedEvents + "\r\n\r\n"))
		s.until("the head", s.client.has("\r\n\r\n"))
		s.client.got = ""
		first := "data: one\n\n"
		if rest != "" {
			first += "data: "
		}
		s.up.Write([]byte(chunk(first)))
		s.until("an event", s.client.has(first))
		k.revoked["ann"] = true
		s.core.Recheck()
		want := first
		if rest != "" {
			s.pass(200 * time.Millisecond)
			if s.client.eof || s.upGone {
				t.Fatal("it ended within an event")
			}
		}
		if strings.HasPrefix(rest, "two") {
			s.up.Write([]byte(chunk(rest)))
			want += "two\n\n"
		}
		s.within(time.Second, "the upstream is given up", func() bool { return s.upGone })
		if rest == "never" {
			s.until("the end", func() bool { return s.client.eof })
		}
		s.pass(100 * time.Millisecond)
		body, whole := s.body()
		if body != want || whole != (rest != "never") || s.client.reset {
			t.Errorf("%q: the client got %q (whole %v, reset %v)", rest, body, whole, s.client.reset)
		}
		s.walk.barred(sessionRevoked, 1)
		if whole { // the connection is good for another request, which is for the authenticator to refuse
			s.client.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
			up := s.up
			s.until("the next request", func() bool { return s.up != up })
		}
		s.client.Close()
	}
}

// TestCallMayNotGoOn: a call ends by its trailers, or by trailers alone.
func TestCallMayNotGoOn(t *testing.T) {
	codes := map[streamEnd]string{sessionRevoked: "16", sessionExpired: "16", policyChanged: "7", streamTooOld: "14"}
	onEveryEnding(t, func(t *testing.T, e ending) {
		w := h2Walk(t, Config{Sessions: newLogins()})
		w.openH2()
		k := w.guard()
		if e.begin != nil {
			e.begin(w, k)
		}
		var asked []*h2request
		w.originH2("up:1", h2.Config{}, func(o *h2origin, q *h2request) {
			if slices.Contains(asked, q) {
				return
			}
			asked = append(asked, q)
			if q.path == "/s/open" {
				q.s.Head([]h2.Field{pair(":status", "200"), pair("content-type", "application/grpc")}, false)
				q.s.Write([]byte("\x00\x00\x00\x00\x02hi"), false)
			}
		})
		p := w.dialH2("web")
		open := p.call("POST", "/s/open", false, "content-type: application/grpc", "te: trailers", "x-login: ann")
		waits := call(p, "/s/waits", "x-login: ann")
		other := call(p, "/s/open", "x-login: bob")
		w.until("they are open", func() bool { return open.body.Len() == 7 && other.body.Len() == 7 && len(asked) == 3 })
		e.bye(w, k)
		w.within(2*time.Second, "both are over", func() bool { return open.whole && waits.whole })
		if want := "grpc-status: " + codes[e.why] + "\n"; !strings.Contains(open.trailers, want) || !strings.Contains(waits.head, want) ||
			!strings.Contains(waits.head, "x-sluice-reason: "+e.why.String()+"\n") || open.body.Len() != 7 {
			t.Errorf("trailers %q, head %q", open.trailers, waits.head)
		}
		w.until("the upstream hears of it", func() bool { return asked[0].reset != nil && asked[1].reset != nil })
		if e.why == streamTooOld {
			w.until("the third is as old", func() bool { return other.whole })
			w.barred(e.why, 3)
			return
		}
		if other.whole || other.reset != nil {
			t.Error("the call of another ended")
		}
		p.Close()
		w.noneLeft()
		w.barred(e.why, 2)
	})
}
