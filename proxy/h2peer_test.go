package proxy

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// h2peer is a client of HTTP/2 over the simulated network: the client half of the core, which has its own tests.
type h2peer struct {
	*sim.Sock
	core    *h2.Conn
	streams []*h2call
	goaways []uint32 // the last streams of the GOAWAYs that came
	codes   []h2.ErrorCode
	eof     bool
	reset   bool
	mute    bool // answers nothing: what it would send is not sent
	greedy  bool // gives no window back
}

// h2call is one request of it, and all that came of it.
type h2call struct {
	s        *h2.Stream
	status   string
	head     string // name: value\n
	interims int
	body     strings.Builder
	trailers string
	whole    bool // the response
	done     bool // both
	reset    *h2.Cause
}

func (w *walk) dialH2(addr string) *h2peer {
	p := &h2peer{}
	up := false
	p.core = h2.New(h2.Config{Client: true, StreamWindow: 65535, ConnWindow: 1 << 20}, p)
	p.Sock = w.net.Dial(addr, sim.Events{
		Connected: func(error) { up = true },
		Data: func(b []byte) {
			_ = p.core.Receive(b, w.net.Now().Sub(sim.Epoch)) // what it says of errors the tests look at
			p.flush()
		},
		EOF:   func() { p.eof = true; p.Sock.Close() },
		Reset: func() { p.reset = true },
	})
	w.net.Run(time.Minute, func() bool { return up })
	p.flush()
	return p
}

func (p *h2peer) flush() {
	if p.mute || p.Sock == nil || p.eof || p.reset {
		return
	}
	for p.core.Wants() {
		p.Write(p.core.Append(nil, 1<<16))
	}
}

// call opens a stream; fields are "name: value".
func (p *h2peer) call(method, path string, end bool, fields ...string) *h2call {
	c := &h2call{}
	list := []h2.Field{pair(":method", method), pair(":scheme", "http"), pair(":authority", "a"), pair(":path", path)}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		list = append(list, pair(name, value))
	}
	s, err := p.core.Open(list, end)
	if err != nil {
		panic(err)
	}
	c.s, s.Owner = s, c
	p.streams = append(p.streams, c)
	p.flush()
	return c
}

func pair(name, value string) h2.Field { return h2.Field{Name: []byte(name), Value: []byte(value)} }

func (p *h2peer) write(c *h2call, b string, end bool) {
	c.s.Write([]byte(b), end)
	p.flush()
}

func (p *h2peer) Head(s *h2.Stream, fields []h2.Field, end bool) {
	c := s.Owner.(*h2call)
	for _, f := range fields {
		if string(f.Name) == ":status" {
			c.status = string(f.Value)
		}
		c.head += fmt.Sprintf("%s: %s\n", f.Name, f.Value)
	}
	c.whole = end
}

func (p *h2peer) Interim(s *h2.Stream, _ []h2.Field) { s.Owner.(*h2call).interims++ }
func (p *h2peer) TooLarge(*h2.Stream)                {}

func (p *h2peer) Data(s *h2.Stream, b []byte, end bool) {
	c := s.Owner.(*h2call)
	c.body.Write(b)
	c.whole = end
	if !p.greedy {
		p.core.Consumed(s, len(b))
	}
}

func (p *h2peer) Trailers(s *h2.Stream, fields []h2.Field) {
	c := s.Owner.(*h2call)
	c.whole = true
	for _, f := range fields {
		c.trailers += fmt.Sprintf("%s: %s\n", f.Name, f.Value)
	}
}

func (p *h2peer) Reset(s *h2.Stream, why h2.Cause) { s.Owner.(*h2call).reset = &why }
func (p *h2peer) Done(s *h2.Stream)                { s.Owner.(*h2call).done = true }
func (p *h2peer) Room(*h2.Stream)                  {}
func (p *h2peer) Refused(uint32, h2.Reason)        {}
func (p *h2peer) Settings()                        {}
func (p *h2peer) NoticeAcked()                     {}
func (p *h2peer) Pong()                            {}

func (p *h2peer) GoAway(last uint32, code h2.ErrorCode, _ []byte) {
	p.goaways, p.codes = append(p.goaways, last), append(p.codes, code)
}
