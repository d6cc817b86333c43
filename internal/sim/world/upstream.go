package world

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// upstream is a scripted origin: it answers what it is asked in many ways, some of
// them faulty, and keeps its own log.
type upstream struct {
	w     *world
	addr  string
	ln    *sim.Listener
	conns []*upConn
}

// upConn is one connection of an upstream.
type upConn struct {
	u          *upstream
	sock       *sim.Sock
	got        []byte
	req        h1.Request
	body       h1.Body
	inBody     bool
	cur        *request // being answered
	taking     *request // being read
	early      bool     // taking was answered before it was read
	tunnel     bool
	data       []byte
	gone       bool
	untilClose bool // the response that is being written ends with the connection
	busy       bool // a response is being written
}

func newUpstream(w *world, addr string) *upstream {
	u := &upstream{w: w, addr: addr}
	u.listen()
	return u
}

func (u *upstream) listen() {
	u.ln = u.w.net.Listen(u.addr)
	u.ln.Accept(func(s *sim.Sock) {
		c := &upConn{u: u, sock: s}
		u.conns = append(u.conns, c)
		s.SetEvents(sim.Events{Data: c.received, EOF: c.eof, Reset: func() { c.gone = true }})
	})
}

// restart closes every connection and listens again after a while.
func (u *upstream) restart() {
	u.w.upstreamFaults++
	u.ln.Close()
	for _, c := range u.conns {
		if !c.gone {
			c.close()
		}
	}
	u.conns = nil
	u.w.net.After(u.w.net.Between(time.Millisecond, 300*time.Millisecond), u.listen)
}

func (c *upConn) close() {
	if c.cur != nil {
		c.cur.flawed = true
	}
	c.gone = true
	if c.untilClose {
		c.sock.Abort() // FIN would say that this was all
		return
	}
	c.sock.Close()
}

func (c *upConn) eof() {
	if c.tunnel {
		c.w().net.After(c.w().net.Between(0, 20*time.Millisecond), c.sock.CloseWrite)
		return
	}
	c.gone = true
	c.sock.Close()
}

func (c *upConn) w() *world { return c.u.w }

func (c *upConn) received(b []byte) {
	w := c.w()
	if w.enforced == 0 {
		w.violate("invariant 4: an upstream got %d bytes before a policy was in force", len(b))
	}
	if c.tunnel {
		c.sock.Write(b)
		return
	}
	c.got = append(c.got, b...)
	c.next()
}

// next reads on, unless a response is being written: an upstream answers in order.
func (c *upConn) next() {
	for !c.gone && (!c.busy || c.early) && !c.tunnel && len(c.got) > 0 && c.parse() {
	}
}

func (c *upConn) parse() bool {
	w := c.w()
	if !c.inBody {
		if bytes.HasPrefix(c.got, []byte("raw")) {
			c.tunnel = true
			b := c.got
			c.got = nil
			c.sock.Write(b)
			return false
		}
		n, err := c.req.Parse(c.got, h1.Limits{})
		if err != nil {
			w.violate("an upstream got a malformed request: %v: %q", err, c.got[:min(100, len(c.got))])
			c.close()
			return false
		}
		if n == 0 {
			return false
		}
		if !c.begin() {
			return false
		}
		c.got = c.got[n:]
		c.inBody, c.data = true, nil
		c.body.Reset(c.req.Body, c.req.Length)
		if c.cur != nil && c.cur.bodyLen > 0 && w.net.Chance(0.08) {
			w.net.Count["early response"]++
			c.cur.flawed = true // it may never be read whole
			c.early = true
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
		c.data = append(c.data, data...)
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
	w := c.w()
	parts := strings.Split(string(c.req.Path), "/")
	r := w.byID[parts[len(parts)-1]]
	if r == nil {
		w.violate("an upstream got %q", c.req.Path)
		c.close()
		return false
	}
	if r.path == "no" || r.path == "key" && r.key != goodKey {
		w.violate("%s was not allowed and reached an upstream", r.id)
	}
	if v, n := c.req.Field("x-sluice-user"); r.path == "key" && (n != 1 || string(v) != "u-1") {
		w.violate("%s reached an upstream without its identity", r.id)
	}
	if _, n := c.req.Field("x-api-key"); n > 0 {
		w.violate("%s reached an upstream with its credential", r.id)
	}
	c.cur, c.taking, c.early = r, r, false
	return true
}

// whole: a request came in full, and so was executed.
func (c *upConn) whole() {
	w, r := c.w(), c.taking
	r.executed++
	if r.executed > 1 && r.method == "POST" {
		w.violate("%s (POST) was executed %d times", r.id, r.executed)
	}
	if !bytes.Equal(c.data, body(r.id, r.bodyLen)) {
		w.violate("%s reached the upstream with %d body bytes, want %d", r.id, len(c.data), r.bodyLen)
	}
	if c.early {
		c.early = false
		return
	}
	delay := w.net.Between(0, 10*time.Millisecond)
	switch {
	case w.net.Chance(0.08):
		w.net.Count["slow response"]++
		delay = w.net.Between(100*time.Millisecond, 4*time.Second)
	case w.net.Chance(0.005):
		w.net.Count["no response"]++
		r.flawed = true
		c.busy = true
		return
	}
	c.busy = true
	w.net.After(delay, func() {
		if !c.gone {
			c.respond(r)
		}
	})
}

// respond writes the answer in one of many ways.
func (c *upConn) respond(r *request) {
	w := c.w()
	c.busy = true
	n, _ := strconv.Atoi(strings.TrimPrefix(string(c.req.Query), "len="))
	if len(c.req.Query) == 0 {
		n = r.respLen
	}
	n = r.respLen
	content := body(r.id, n)
	var out []byte
	if w.net.Chance(0.05) {
		w.net.Count["interim response"]++
		out = append(out, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"...)
	}
	end := c.done
	chunked := w.net.Chance(0.3)
	untilClose := !chunked && w.net.Chance(0.1) && r.method != "HEAD"
	c.untilClose = untilClose
	switch {
	case r.method == "HEAD":
		out = append(out, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n)...)
	case chunked:
		out = append(out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"...)
		for rest := content; len(rest) > 0; {
			k := 1 + w.net.Rand.IntN(len(rest))
			out = h1.AppendChunk(out, rest[:k])
			rest = rest[k:]
		}
		out = h1.AppendLastChunk(out, nil)
	case untilClose:
		w.net.Count["until close"]++
		out = append(out, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"...)
		out = append(out, content...)
		end = func() { c.gone = true; c.sock.Close() }
	default:
		out = append(out, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n)...)
		out = append(out, content...)
	}
	switch {
	case w.net.Chance(0.03) && r.method != "HEAD" && !untilClose && n > 0:
		w.net.Count["truncated response"]++
		r.flawed = true
		w.upstreamFaults++
		out = out[:len(out)-1-w.net.Rand.IntN(min(n, 50))]
		end = func() { c.gone = true; c.sock.Close() }
	case w.net.Chance(0.02):
		w.net.Count["upstream reset"]++
		r.flawed = true
		w.upstreamFaults++
		out = out[:w.net.Rand.IntN(len(out))]
		end = func() { c.gone = true; c.sock.Abort() }
	case w.net.Chance(0.03) && r.method != "HEAD" && !untilClose && w.opt.Mutant.Proxy.ReuseDirty:
		// An answer nobody asked for behind the one that was: whoever reuses the
		// connection gives it to a stranger.
		w.net.Count["surplus response"]++
		out = append(out, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"...)
	case w.net.Chance(0.04):
		w.net.Count["silent close"]++ // keep-alive promised, closed after a while
		w.upstreamFaults++
		next := c.done
		end = func() {
			next()
			w.net.After(w.net.Between(0, 100*time.Millisecond), func() {
				if !c.gone {
					c.close()
				}
			})
		}
	}
	w.trace("upstream %p answers %s (early %v)", c, r.id, c.early)
	c.write(out, end)
}

// write sends out in pieces with pauses.
func (c *upConn) write(out []byte, end func()) {
	if c.gone {
		return
	}
	k := len(out)
	if k > 1 && c.w().net.Chance(0.3) {
		k = 1 + c.w().net.Rand.IntN(k-1)
	}
	c.sock.Write(out[:k])
	if k == len(out) {
		end()
		return
	}
	c.w().net.After(c.w().net.Between(0, 30*time.Millisecond), func() { c.write(out[k:], end) })
}

func (c *upConn) done() {
	c.busy, c.cur = false, nil
	if !c.gone {
		c.w().net.After(0, c.next)
	}
}
