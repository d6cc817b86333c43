package world

import (
	"bytes"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

const probePath = "/healthz"

var upAddrs = [2]string{"up:1", "up:2"}

// upstream is a scripted origin: it answers what it is asked in many ways, some of
// them faulty. How it answers is in answer.go.
type upstream struct {
	w        *world
	addr     string
	ln       *sim.Listener
	conns    []*upConn
	h2conns  []*h2UpConn
	downAt   time.Time // of the last restart
	backAt   time.Time // zero while down
	everDown bool
}

// upConn is one connection of an upstream.
type upConn struct {
	u        *upstream
	sock     *sim.Sock
	got      []byte
	req      h1.Request
	body     h1.Body
	match    matcher
	inBody   bool
	cur      *request // being answered
	last     *request // answered before
	taking   *request // being read
	early    bool     // taking was answered before it was read
	tunnel   bool
	gone     bool
	busy     bool // a response is being written
	farewell bool // it says goodbye first on this tunnel
	// untilClose: the response that is being written ends with the connection.
	untilClose bool
}

func newUpstream(w *world, addr string) *upstream {
	u := &upstream{w: w, addr: addr}
	u.listen()
	return u
}

func (u *upstream) listen() {
	u.backAt = u.w.net.Now()
	u.ln = u.w.net.Listen(u.addr)
	u.ln.Accept(func(s *sim.Sock) {
		c := &upConn{u: u, sock: s}
		u.conns = append(u.conns, c)
		s.SetEvents(sim.Events{Data: c.received, EOF: c.eof, Reset: func() { c.gone = true }})
	})
}

// restart closes every connection and listens again after a while.
func (u *upstream) restart() {
	u.downAt, u.backAt, u.everDown = u.w.net.Now(), time.Time{}, true
	u.ln.Close()
	for _, c := range u.conns {
		if !c.gone {
			c.close()
		}
	}
	for _, c := range u.h2conns {
		c.breakOff()
	}
	u.conns, u.h2conns = nil, nil
	u.w.net.After(u.w.net.Between(time.Millisecond, 300*time.Millisecond), u.listen)
}

// wasDown reports whether nobody listened at some moment since, a handshake's length
// of time included.
func (u *upstream) wasDown(since time.Time) bool {
	return u.everDown && (u.backAt.IsZero() || u.backAt.Add(4*u.w.net.MaxDelay).After(since))
}

// working reports whether a request is under way on some connection.
func (u *upstream) working() bool {
	for _, c := range u.conns {
		if !c.gone && (c.busy || c.inBody || c.tunnel) {
			return true
		}
	}
	for _, c := range u.h2conns {
		if !c.ended && len(c.calls) > 0 {
			return true
		}
	}
	return false
}

// carrier is the same connection as the tap knows it.
func (c *upConn) carrier() *carrier {
	w := c.u.w
	far := c.sock.Peer()
	k := w.carriers[far]
	if k == nil {
		k = &carrier{sock: far}
		w.carriers[far] = k
	}
	k.conn = c
	return k
}

// close ends the connection when the proxy may still use it: a fault.
func (c *upConn) close() {
	w := c.u.w
	c.carrier().broke = true
	c.gone = true
	if t := w.h2Taps[c.sock.Peer()]; t != nil { // it had not read the preface yet
		t.dead = true
	}
	if c.untilClose {
		c.sock.Abort() // FIN would say that this was all
		return
	}
	c.sock.Close()
}

func (c *upConn) eof() {
	w := c.u.w
	if c.tunnel {
		w.net.After(w.net.Between(0, 20*time.Millisecond), c.sock.Close)
		return
	}
	c.gone = true
	c.sock.Close()
}

func (c *upConn) received(b []byte) {
	w := c.u.w
	if len(w.versions) == 0 {
		w.violate("invariant 4: an upstream got %d bytes before a policy was in force", len(b))
	}
	if c.tunnel {
		c.tunnelled(b)
		return
	}
	c.got = append(c.got, b...)
	if w.h2.upstreams && c.got[0] == h2.Preface[0] {
		if len(c.got) >= len(h2.Preface) {
			c.becomeH2()
		}
		return
	}
	c.next()
}

// next reads on, unless a response is being written: an upstream answers in order.
func (c *upConn) next() {
	for !c.gone && (!c.busy || c.early) && !c.tunnel && len(c.got) > 0 && c.parse() {
	}
}

// parse takes one step through what came; false: more is needed.
func (c *upConn) parse() bool {
	w := c.u.w
	if !c.inBody {
		if c.got[0] == tunnelMark {
			c.tunnel = true
			c.tunnelled(c.got)
			c.got = nil
			return false
		}
		n, err := c.req.Parse(c.got, h1.Limits{})
		if err != nil {
			w.violate("an upstream got a malformed request: %v: %q", err, c.got[:min(100, len(c.got))])
			c.close()
			return false
		}
		if n > 0 && string(c.req.Path) == probePath {
			w.net.Count["health check"]++
			c.got = c.got[n:]
			c.sock.Write([]byte("HTTP/1.1 204 No Content\r\n\r\n"))
			return true
		}
		if n == 0 || !c.begin() {
			return false
		}
		c.got = c.got[n:]
		c.inBody = true
		c.match = matcher{want: body(c.taking.num, c.taking.bodyLen)}
		c.body.Reset(c.req.Body, c.req.Length)
		if c.cur.bodyLen > 0 && w.net.Chance(0.08) {
			w.net.Count["early response"]++
			c.early, c.cur.earlyAt = true, w.net.Now()
			c.respond(c.cur)
		}
	}
	for len(c.got) > 0 && !c.body.Done() {
		data, n, err := c.body.Next(c.got)
		if err != nil {
			w.violate("an upstream got a malformed body: %v", err)
			c.close()
			return false
		}
		c.match.add(data)
		c.got = c.got[n:]
	}
	if !c.body.Done() {
		return false
	}
	c.inBody = false
	c.whole()
	return true
}

// begin looks at a head: was it allowed to come here?
func (c *upConn) begin() bool {
	w := c.u.w
	n, ok := numberAfter(c.req.Path, '/')
	if !ok || n >= len(w.requests) {
		w.violate("an upstream got %q", c.req.Path)
		c.close()
		return false
	}
	r := w.requests[n]
	w.judgeArrival(r, c.req.Field)
	if asked := string(c.req.Upgrade); asked != "" && asked != r.asks || asked == h2cProtocol {
		w.violate("r%d asks for %q and reached an upstream with Upgrade: %s", r.num, r.asks, asked)
	}
	c.cur, c.taking, c.early = r, r, false
	return true
}

// judgeArrival asks whether r was allowed to come to an upstream, and came as it should.
func (w *world) judgeArrival(r *request, field func(name string) ([]byte, int)) {
	switch {
	case r.path == "no", r.path == "key" && r.key != goodKey:
		w.violate("r%d was not allowed and reached an upstream", r.num)
	case r.path == "flip" && !w.inForce(r.sentAt, odd):
		w.violate("r%d reached an upstream and no version in force meanwhile allows it", r.num)
	}
	if v, n := field("x-sluice-user"); r.path == "key" && (n != 1 || string(v) != "u-1") {
		w.violate("r%d reached an upstream without its identity", r.num)
	}
	if _, n := field("x-api-key"); n > 0 {
		w.violate("r%d reached an upstream with its credential", r.num)
	}
}

// whole: a request came in full, and so was executed.
func (c *upConn) whole() {
	w, r := c.u.w, c.taking
	if r.executed++; r.executed > 1 && r.method == "POST" {
		w.violate("r%d (POST) was executed %d times", r.num, r.executed)
	}
	if !bytes.Equal(c.req.Method, []byte(r.method)) || !c.match.whole() {
		w.violate("r%d reached the upstream as %s with %d body bytes, want %s with %d", r.num, c.req.Method, c.match.n, r.method, r.bodyLen)
	}
	if c.early {
		c.early = false
		return
	}
	c.busy = true
	delay := w.net.Between(0, 10*time.Millisecond)
	switch {
	case w.net.Chance(0.08):
		w.net.Count["slow response"]++
		delay = w.net.Between(100*time.Millisecond, 4*time.Second)
	case w.net.Chance(0.005):
		w.net.Count["no response"]++
		r.flawed = true
		return
	}
	w.net.After(delay, func() {
		if !c.gone {
			c.respond(r)
		}
	})
}
