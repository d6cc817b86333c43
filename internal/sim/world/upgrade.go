package world

import (
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
)

// Requests that ask for another protocol (RFC 9110 section 7.8), and the tunnels that
// follow a 101. What flows through them is judged in tunnel.go.

// What a request may ask for. Only the first may become a tunnel: behind the second,
// requests would go past route and policy.
const (
	echoProtocol = "echo"
	h2cProtocol  = "h2c"
)

// upgrade is what an upstream will make of a request that asks for echoProtocol.
type upgrade struct {
	asks     string // value of Upgrade; empty: an ordinary request
	switches bool   // the upstream answers 101, otherwise as to any request
	greeting int    // bytes that it sends right behind its 101
	farewell bool   // it says goodbye first, behind its first echo
	early    []byte // what the client sends before it knows
}

// newUpgrader is a client that asks for a tunnel.
func newUpgrader(w *world) {
	c := &client{w: w, addr: webAddr, kind: upgrader}
	if w.net.Chance(0.3) {
		c.addr = altAddr
	}
	c.dial(func() {
		r := w.newRequest(c)
		r.method, r.bodyLen = "GET", 0
		r.plan(w)
		c.pending = append(c.pending, r)
		c.wroteAt = w.net.Now()
		out := append(r.append(w, nil), r.early...)
		if len(r.early) == 0 && w.net.Chance(0.2) {
			c.sendSlowly(out)
			return
		}
		c.sock.Write(out)
	})
}

// plan decides what r asks for and what comes of it.
func (r *request) plan(w *world) {
	u := &r.upgrade
	if w.net.Chance(0.15) {
		w.net.Count["upgrade to be ignored"]++
		u.asks = h2cProtocol
		return
	}
	u.asks = echoProtocol
	if u.switches = w.net.Chance(0.8); !u.switches {
		w.net.Count["upgrade declined"]++
		return
	}
	if w.net.Chance(0.4) {
		u.greeting = 1 + w.net.Rand.IntN(2000)
	}
	if w.net.Chance(0.25) {
		u.farewell = true
	}
	if w.net.Chance(0.3) {
		w.net.Count["bytes before the 101"]++
		u.early = body(r.num+1, 1+w.net.Rand.IntN(2000))
		r.goodbye = false // they look like the next request
	}
}

// switched: the client read a 101 in answer to r. rest is what came behind it.
func (c *client) switched(r *request, rest []byte) {
	w := c.w
	if r.asks != echoProtocol || r.sound == nil {
		w.violate("r%d was switched to another protocol unasked", r.num)
		c.stop()
		return
	}
	w.judgePermission(r, "101")
	w.net.Count["upgrade"]++
	r.status, r.answered, r.answeredAt = 101, true, w.net.Now()
	w.trace("client %v was switched by r%d", c.sock.Addr, r.num)
	c.pending, c.ended = nil, true // from here on the tunnel has the connection
	t := &tunnelClient{w: w, name: "upgrade r" + strconv.Itoa(r.num), num: r.num, path: r.path, sock: c.sock, dialed: r.sentAt, open: w.net.Now(),
		left: w.net.Rand.IntN(10), most: 3000, carrier: r.sound}
	t.owed = append(append(t.owed, body(r.num, r.greeting)...), r.early...)
	if w.net.Chance(0.12) {
		w.net.Count["endless tunnel"]++
		t.left, t.most = 1<<30, 300
	}
	c.sock.SetEvents(sim.Events{Data: t.data, EOF: func() { t.end("eof") }, Reset: func() { t.end("reset") }})
	if len(rest) > 0 {
		t.data(rest)
	}
	t.say()
}

// switchTo answers r with 101.
func (c *upConn) switchTo(r *request) {
	w := c.u.w
	if len(c.got) > 0 {
		w.violate("an upstream got %d bytes of a tunnel before it switched (r%d)", len(c.got), r.num)
	}
	k := c.carrier()
	out := append(append([]byte(nil), switching...), "X-For: r"...)
	out = append(strconv.AppendInt(out, int64(r.num), 10), "\r\n\r\n"...)
	if w.net.Chance(0.05) {
		w.net.Count["upstream reset"]++
		r.flawed, k.broke, c.gone = true, true, true
		c.sock.Write(out[:w.net.Rand.IntN(len(out))])
		c.sock.Abort()
		return
	}
	w.trace("upstream %v switches for r%d", c.sock.Addr, r.num)
	r.sound, r.endless = k, true
	c.busy, c.tunnel, c.farewell, c.cur = false, true, r.farewell, nil
	c.echo(append(out, body(r.num, r.greeting)...), r.greeting)
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: " + echoProtocol + "\r\n"

// echo writes to a tunnel; n of out are bytes of it.
func (c *upConn) echo(out []byte, n int) {
	c.carrier().echoed += n
	c.sock.Write(out)
}

// tunnelled: bytes of a tunnel came.
func (c *upConn) tunnelled(b []byte) {
	k := c.carrier()
	if k.bye {
		return // it reads on, but has said all it had to say
	}
	c.echo(b, len(b))
	if c.farewell {
		c.u.w.net.Count["upstream says goodbye first"]++
		k.bye = true
		c.sock.CloseWrite()
	}
}

// switchUnasked answers an ordinary request with 101, which no client may ever see.
func (c *upConn) switchUnasked(r *request) {
	w := c.u.w
	w.net.Count["unasked switch"]++
	r.flawed = true
	c.carrier().broke = true
	c.sock.Write([]byte(switching + "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	w.net.After(time.Second, func() {
		if !c.gone {
			c.close()
		}
	})
}
