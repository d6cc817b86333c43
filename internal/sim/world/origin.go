package world

import (
	"strconv"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/proxyproto"
)

// origin is an upstream of a scenario.
type origin struct {
	w        *world
	headed   bool // a PROXY header begins each connection
	requests int  // that came in full
	serve    func(c *originConn)
}

// originConn is one connection of an origin, with the request that is to be served.
type originConn struct {
	o      *origin
	sock   *sim.Sock
	got    []byte
	header *proxyproto.Header // that the connection began with; nil: none came yet
	req    h1.Request
	body   h1.Body
	inBody bool
	gone   bool

	served int    // requests before this one
	num    int    // of the caller; -1: a health check
	of     string // its X-Forwarded-For
}

func (w *world) origin(addr string, serve func(c *originConn)) *origin {
	o := &origin{w: w, serve: serve}
	w.net.Listen(addr).Accept(func(s *sim.Sock) {
		c := &originConn{o: o, sock: s}
		s.SetEvents(sim.Events{
			Data:  c.received,
			EOF:   func() { c.gone = true; s.Close() },
			Reset: func() { c.gone = true },
		})
	})
	return o
}

func (c *originConn) received(b []byte) {
	c.got = append(c.got, b...)
	for !c.gone && len(c.got) > 0 && c.step() {
	}
}

// step reads on; false: more is needed.
func (c *originConn) step() bool {
	w := c.o.w
	if c.o.headed && c.header == nil {
		h, n, err := proxyproto.Parse(c.got)
		if err != nil {
			w.violate("a connection to an upstream begins without its PROXY header: %q", c.got[:min(40, len(c.got))])
			c.close()
		}
		if n > 0 {
			c.header, c.got = &h, c.got[n:]
		}
		return n > 0
	}
	if !c.inBody {
		n, err := c.req.Parse(c.got, h1.Limits{})
		if err != nil {
			w.violate("an upstream got a malformed request: %v: %q", err, c.got[:min(100, len(c.got))])
			c.close()
			return false
		}
		if n == 0 {
			return false
		}
		num, ok := numberAfter(c.req.Path, '/')
		if string(c.req.Path) == probePath {
			num, ok = -1, true // nobody's
		}
		if !ok || num >= len(w.callers) {
			w.violate("an upstream got %q", c.req.Path)
			c.close()
			return false
		}
		of, _ := c.req.Field("x-forwarded-for")
		c.num, c.of = num, string(of)
		c.body.Reset(c.req.Body, c.req.Length)
		c.got, c.inBody = c.got[n:], true
	}
	for len(c.got) > 0 && !c.body.Done() {
		_, n, err := c.body.Next(c.got)
		if err != nil {
			w.violate("an upstream got a malformed body: %v", err)
			c.close()
			return false
		}
		c.got = c.got[n:]
	}
	if !c.body.Done() {
		return false
	}
	c.inBody = false
	c.o.requests++
	c.o.serve(c)
	c.served++
	return true
}

// answer sends a 200 with n bytes.
func (c *originConn) answer(n int) {
	if c.gone {
		return
	}
	out := strconv.AppendInt([]byte("HTTP/1.1 200 OK\r\nContent-Length: "), int64(n), 10)
	out = append(out, "\r\n\r\n"...)
	if c.num < 0 {
		c.sock.Write(append(out, make([]byte, n)...))
		return
	}
	for ; n > maxBody; n -= maxBody {
		out = append(out, body(c.num, maxBody)...)
	}
	c.sock.Write(append(out, body(c.num, n)...))
}

func (c *originConn) close() {
	c.gone = true
	c.sock.Close()
}

func (c *originConn) reset() {
	c.gone = true
	c.sock.Abort()
}
