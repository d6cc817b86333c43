package line

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
)

// caller is an HTTP client that asks again and again, on connections of their own or on one
// for as long as it may.
type caller struct {
	l     *line
	keep  bool
	sock  *sim.Sock
	got   []byte
	asked time.Time // of the request under way; zero: none is
	open  bool
	num   int
}

func (l *line) client() {
	c := &caller{l: l, keep: l.net.Chance(0.5)}
	c.dial()
}

func (c *caller) dial() {
	l := c.l
	if l.quiet || !l.downAt.IsZero() {
		return
	}
	c.got, c.open = nil, false
	c.sock = l.net.Dial(webAddr, sim.Events{
		Connected: func(err error) {
			if err != nil {
				l.notConnected(err)
				if l.up() { // otherwise this client is done
					l.net.After(50*time.Millisecond, c.dial)
				}
				return
			}
			c.open = true
			c.ask()
		},
		Data:  c.data,
		EOF:   func() { c.ended("EOF") },
		Reset: func() { c.ended("reset") },
	})
}

// notConnected: while the service is up nobody is refused, and nobody is reset at any time.
func (l *line) notConnected(err error) {
	switch {
	case errors.Is(err, sim.ErrReset) && l.downAt.IsZero():
		l.violate("a handshake was reset")
	case l.up():
		l.violate("a dial failed while the service is up: %v", err)
	}
}

func (c *caller) ask() {
	if c.l.quiet || !c.open {
		return
	}
	c.num++
	c.asked = c.l.net.Now()
	c.sock.Write(fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: app.test\r\n\r\n", c.num))
}

func (c *caller) data(b []byte) {
	c.got = append(c.got, b...)
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(c.got)), nil)
	if err != nil {
		return // the head is not there yet
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return
	}
	if resp.StatusCode != http.StatusOK || string(body) != fmt.Sprintf("/%d", c.num) {
		if c.l.up() {
			c.l.violate("wrong: %d %q to /%d from generation %d", resp.StatusCode, body, c.num, c.owner())
		}
	}
	c.l.result.Answered++
	c.asked, c.got = time.Time{}, nil
	pause := c.l.net.Between(0, 100*time.Millisecond)
	if resp.Close || !c.keep {
		c.open = false
		c.sock.Close()
		c.l.net.After(pause, c.dial)
		return
	}
	c.l.net.After(pause, func() {
		if c.open {
			c.ask()
		} else {
			c.dial()
		}
	})
}

func (c *caller) owner() int {
	if p := c.l.owner[c.sock.Addr]; p != nil {
		return p.gen
	}
	return 0
}

// ended: the connection is gone. With a request under way that is a loss, unless the process
// that had it was killed.
func (c *caller) ended(how string) {
	if !c.open {
		return
	}
	c.open = false
	c.sock.Close()
	if !c.asked.IsZero() {
		c.l.lost(c.sock, fmt.Sprintf("request /%d, sent %v ago", c.num, c.l.net.Now().Sub(c.asked)), how, c.asked)
		c.asked = time.Time{}
		c.l.net.After(10*time.Millisecond, c.dial)
	} // else the pause after the last answer is not over, and then it dials
}

// lost judges what a client lost.
func (l *line) lost(s *sim.Sock, what, how string, asked time.Time) {
	p := l.owner[s.Addr]
	switch {
	case p != nil && !p.alive && p.state < stateOver:
		l.net.Count["lost with its process"]++
	case !l.downAt.IsZero():
	case p != nil && !p.served && what == "tunnel": // told to stop before it was admitted: it forwarded nothing
		l.net.Count["refused by one that had not started"]++
	case p == nil:
		l.violate("lost: %s, of nobody (%s)", what, how)
	case l.net.Now().Sub(asked) < 8*l.net.MaxDelay && how == "EOF": // it crossed with an idle close
		l.net.Count["crossed"]++
	default:
		l.violate("lost: %s, by generation %d (%s)", what, p.gen, how)
	}
}

// pipe is a client of the TCP listener: it sends and wants everything back, and ends by itself.
type pipe struct {
	l         *line
	sock      *sim.Sock
	sent, got int
	left      int
	over      bool
}

func (l *line) tunnel() {
	if l.quiet || !l.up() {
		return
	}
	t := &pipe{l: l, left: 1 + l.net.Rand.IntN(8)}
	again := func() { l.net.After(l.net.Between(0, 300*time.Millisecond), l.tunnel) }
	end := func(how string) {
		if !t.over {
			t.over = true
			if t.got < t.sent || t.left > 0 {
				l.lost(t.sock, "tunnel", how, sim.Epoch)
			}
			t.sock.Close()
			again()
		}
	}
	t.sock = l.net.Dial(rawAddr, sim.Events{
		Connected: func(err error) {
			if err != nil {
				l.notConnected(err)
				again()
				return
			}
			t.say()
		},
		Data:  func(b []byte) { t.got += len(b) },
		EOF:   func() { end("EOF") },
		Reset: func() { end("reset") },
	})
}

func (t *pipe) say() {
	if t.over {
		return
	}
	if t.left == 0 || t.l.quiet {
		t.left = 0
		t.sock.CloseWrite()
		return
	}
	t.left--
	t.sent += 100
	t.sock.Write(append([]byte{'>'}, make([]byte, 99)...))
	t.l.net.After(t.l.net.Between(0, 300*time.Millisecond), t.say)
}

// upstream answers GETs with their path, and sends everything else back.
func (l *line) upstream() {
	l.net.Listen(upAddr).Accept(func(s *sim.Sock) {
		var got []byte
		s.SetEvents(sim.Events{
			Data: func(b []byte) {
				if len(got) == 0 && b[0] != 'G' {
					s.Write(b)
					return
				}
				for got = append(got, b...); ; {
					head, rest, ok := bytes.Cut(got, []byte("\r\n\r\n"))
					if !ok {
						return
					}
					path := bytes.Fields(head)[1]
					got = rest
					s.Write(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(path), path))
				}
			},
			EOF:   func() { s.CloseWrite(); s.Close() },
			Reset: func() {},
		})
	})
}
