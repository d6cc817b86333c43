package line

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// h2Caller is a client of HTTP/2: some requests at a time on one connection, until it is told to leave; then it goes on
// with the next.
type h2Caller struct {
	l        *line
	sock     *sim.Sock
	core     *h2.Conn
	noticed  bool
	over     bool // the connection
	replaced bool
}

// h2Call is a request of it.
type h2Call struct {
	path   string
	status string
	body   strings.Builder
	asked  time.Time
	whole  bool
}

// h2In is of how many lines one has such clients.
const h2In = 4

func (l *line) speaksH2() bool { return l.opt.Seed%h2In == 0 }

// tell has HTTP/2 connections hear of a stop.
func (p *process) tell() {
	if p.l.speaksH2() {
		p.core.Tell()
	}
}

func (l *line) h2Client() {
	c := &h2Caller{l: l}
	if l.quiet || !l.downAt.IsZero() {
		return
	}
	c.core = h2.New(h2.Config{Client: true}, c)
	c.sock = l.net.Dial(webAddr, sim.Events{
		Connected: func(err error) {
			if err != nil {
				l.notConnected(err)
				c.over = true
				if l.up() {
					l.net.After(50*time.Millisecond, l.h2Client)
				}
				return
			}
			c.flush()
			c.ask()
		},
		Data: func(b []byte) {
			if err := c.core.Receive(b, l.net.Now().Sub(sim.Epoch)); err != nil {
				l.violate("a client of HTTP/2 got what is none: %v", err)
			}
			c.flush()
		},
		EOF:   func() { c.ended("EOF") },
		Reset: func() { c.ended("reset") },
	})
}

func (c *h2Caller) flush() {
	for !c.over && c.core.Wants() {
		c.sock.Write(c.core.Append(nil, 16<<10))
	}
}

// ask opens some streams, and more after a while.
func (c *h2Caller) ask() {
	l := c.l
	if c.over || l.quiet || c.core.PeerLeft() {
		return
	}
	for range 1 + l.net.Rand.IntN(3) {
		call := &h2Call{path: fmt.Sprintf("/%d", l.net.Rand.IntN(1000)), asked: l.net.Now()}
		s, err := c.core.Open([]h2.Field{h2pair(":method", "GET"), h2pair(":scheme", "http"), h2pair(":authority", "app.test"), h2pair(":path", call.path)}, true)
		if err != nil {
			break // no room
		}
		s.Owner = call
	}
	c.flush()
	l.net.After(l.net.Between(0, 200*time.Millisecond), c.ask)
}

func h2pair(name, value string) h2.Field { return h2.Field{Name: []byte(name), Value: []byte(value)} }

// goOn is the next connection.
func (c *h2Caller) goOn() {
	if !c.replaced {
		c.replaced = true
		c.l.net.After(c.l.net.Between(0, 50*time.Millisecond), c.l.h2Client)
	}
}

// ended: the connection is gone, and what runs on it with it.
func (c *h2Caller) ended(how string) {
	if c.over {
		return
	}
	c.over = true
	c.core.Each(func(s *h2.Stream) {
		if call := s.Owner.(*h2Call); !call.whole {
			c.l.lost(c.sock, "request "+call.path+" of HTTP/2", how, call.asked)
		}
	})
	c.sock.Close()
	c.goOn()
}

// Head implements h2.Events.
func (c *h2Caller) Head(s *h2.Stream, fields []h2.Field, end bool) {
	call := s.Owner.(*h2Call)
	call.status = string(fields[0].Value)
	c.piece(call, end)
}

// Data implements h2.Events.
func (c *h2Caller) Data(s *h2.Stream, b []byte, end bool) {
	call := s.Owner.(*h2Call)
	call.body.Write(b)
	c.core.Consumed(s, len(b))
	c.piece(call, end)
}

func (c *h2Caller) piece(call *h2Call, end bool) {
	if call.whole = end; !end {
		return
	}
	if (call.status != "200" || call.body.String() != call.path) && c.l.up() {
		c.l.violate("wrong: %s %q to %s of HTTP/2", call.status, call.body.String(), call.path)
	}
	c.l.net.Count["answered over HTTP/2"]++
}

// Reset implements h2.Events.
func (c *h2Caller) Reset(s *h2.Stream, why h2.Cause) {
	call := s.Owner.(*h2Call)
	if why.Unprocessed { // it may be sent again, but nobody has to: it was sent before the notice
		c.l.net.Count["refused by a GOAWAY"]++
	}
	c.l.lost(c.sock, "request "+call.path+" of HTTP/2", why.Code.String(), call.asked)
}

// GoAway implements h2.Events.
func (c *h2Caller) GoAway(last uint32, code h2.ErrorCode, _ []byte) {
	if !c.noticed && last == 1<<31-1 {
		c.noticed = true
		c.l.net.Count["told to leave over HTTP/2"]++
	}
	if code != h2.NoError {
		c.l.violate("a client of HTTP/2 got GOAWAY with %v", code)
	}
	c.goOn()
}

// What such a client does not care for.

func (c *h2Caller) Interim(*h2.Stream, []h2.Field)  {}
func (c *h2Caller) TooLarge(*h2.Stream)             {}
func (c *h2Caller) Trailers(*h2.Stream, []h2.Field) {}
func (c *h2Caller) Done(*h2.Stream)                 {}
func (c *h2Caller) Room(*h2.Stream)                 {}
func (c *h2Caller) Refused(uint32, h2.Reason)       {}
func (c *h2Caller) Settings()                       {}
func (c *h2Caller) NoticeAcked()                    {}
func (c *h2Caller) Pong()                           {}
