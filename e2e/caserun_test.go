package e2e

import (
	"cmp"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// target is a proxy that the tables are run against.
type target struct {
	name  string
	addr  string
	up    *recorder
	exact bool          // it must do what the verdict says to the byte; otherwise in meaning
	wait  time.Duration // for anything that should be there at once
	rng   *rand.Rand    // not nil: requests are sent in pieces
}

// played is what became of a case.
type played struct {
	responses []*message // whole final responses that the client got
	interim   string     // 1xx before the last of them
	rest      string     // what it got and is no whole response
	fault     error      // why not
	closed    bool       // its connection ended
	reset     bool       // by a reset
	probes    []string   // what came instead of the right answer to a good request afterwards
	keptWell  bool       // a good request on the client's own connection was answered rightly
	arrivals  []arrival  // without the probes
	conns     []int      // that the case used at the upstream
	reused    bool       // one of them served a probe
	tunneled  bool       // bytes went both ways
}

// player runs cases one after the other.
type player struct {
	target
	probe     int
	probePath string // of the good requests; empty: "/probe-"
}

func (p *player) play(c *wireCase) *played {
	o := &played{}
	p.up.begin(c)
	client, err := p.dial()
	if err != nil {
		o.fault = err
		return o
	}
	defer func() { _ = client.Close() }()
	sent := make(chan struct{})
	go func() { // ends with the connection at the latest; joined below
		defer close(sent)
		p.write(client.Conn, c.request)
		if c.has("halfclose") {
			_ = client.Conn.(*net.TCPConn).CloseWrite()
		}
	}()
	p.read(client, c, o)
	if strings.Contains(c.reply, "{then}") {
		p.up.sendLate(p.patience())
	}
	if p.rng != nil && c.has("drop") {
		// What nobody asked for may still be on its way in pieces. Before the proxy has seen
		// it no proxy can know, and it would be taken for the answer to the next request.
		p.up.deserted(p.wait / 4)
	}
	if c.keep {
		// The answer may overtake the end of the case, and a good request behind half of it
		// would be taken for the rest.
		select {
		case <-sent:
		case <-time.After(p.wait):
		}
	}
	p.afterwards(client, c, o)
	_ = client.Close()
	<-sent
	p.probeOn(nil, o)
	p.sort(o)
	return o
}

// sort separates the probes from what the case itself made arrive.
func (p *player) sort(o *played) {
	used := map[int]bool{}
	for _, a := range p.up.settle(p.wait) {
		switch {
		case a.msg != nil && isProbe(a.msg):
			o.reused = o.reused || used[a.conn]
		default:
			used[a.conn] = true
			o.arrivals = append(o.arrivals, a)
		}
	}
}

// afterwards looks at what became of the client's connection.
func (p *player) afterwards(client *caller, c *wireCase, o *played) {
	if c.has("tunnel") && len(o.responses) > 0 {
		o.tunneled = client.echoes(p.wait)
		return
	}
	if !client.ended && c.keep && o.fault == nil {
		o.keptWell = p.probeOn(client, o)
	} else if !client.ended && !c.keep {
		client.fill(p.patience()) // it must end, and nothing more may come
		// In the middle of a request, another one would be taken for the rest of it.
		if !client.ended && len(client.got) == 0 && o.fault == nil && !c.has("early") {
			o.keptWell = p.probeOn(client, o)
		}
	}
	if len(client.got) > 0 && o.rest == "" && !o.keptWell {
		o.rest = string(client.got)
	}
	o.closed, o.reset = client.ended, client.reset
}

// patience is how long to wait for what is expected. Of other proxies it is no more than
// a look: many of them do not close, and nobody hangs on it.
func (p *player) patience() time.Duration {
	if p.exact {
		return p.wait
	}
	return p.wait / 5
}

// probeOn sends a good request, on a new connection if client is nil.
func (p *player) probeOn(client *caller, o *played) bool {
	if client == nil {
		fresh, err := p.dial()
		if err != nil {
			o.probes = append(o.probes, err.Error())
			return false
		}
		defer func() { _ = fresh.Close() }()
		client = fresh
	}
	p.probe++
	id := "probe-" + strconv.Itoa(p.probe)
	before := client.ended
	_, _ = io.WriteString(client, "GET "+cmp.Or(p.probePath, "/probe-")+strconv.Itoa(p.probe)+" HTTP/1.1\r\nHost: app.example.com\r\n\r\n")
	m, err := client.response(false, p.wait)
	if err == nil && m.status() == 200 && m.body == id {
		return true
	}
	got := string(client.got)
	if m != nil {
		got = m.raw
	}
	if got == "" && (before || client.ended) {
		return false // closed between two requests: nothing wrong was said
	}
	o.probes = append(o.probes, got)
	return false
}

// read gathers as many final responses as the case has requests.
func (p *player) read(client *caller, c *wireCase, o *played) {
	want := 1 + c.number("after")
	for len(o.responses) < want {
		m, err := client.response(c.has("head"), p.wait)
		if err != nil {
			o.fault, o.rest = err, string(client.got)
			break
		}
		if m.status() < 200 && m.status() != 101 {
			o.interim += m.raw
			continue
		}
		o.responses = append(o.responses, m)
	}
	o.closed, o.reset = client.ended, client.reset
}

func (p *player) write(conn net.Conn, raw string) {
	_ = conn.SetWriteDeadline(time.Now().Add(2 * p.wait))
	for p.rng != nil && len(raw) > 0 {
		n := min(len(raw), 1+p.rng.IntN(1+max(6, len(raw)/16)))
		if _, err := io.WriteString(conn, raw[:n]); err != nil {
			return
		}
		raw = raw[n:]
	}
	_, _ = io.WriteString(conn, raw)
}

// caller is a client connection and what it has got.
type caller struct {
	net.Conn
	got   []byte
	ended bool // no more bytes will come
	reset bool
}

func (p *player) dial() (*caller, error) {
	conn, err := net.DialTimeout("tcp", p.addr, patience)
	if err != nil {
		return nil, err
	}
	return &caller{Conn: conn}, nil
}

var errSilent = errors.New("no answer in time")

// fill reads once; false: nothing came in time, or the connection ended.
func (c *caller) fill(wait time.Duration) bool {
	if c.ended {
		return false
	}
	_ = c.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, 64<<10)
	n, err := c.Read(buf)
	c.got = append(c.got, buf[:n]...)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.ended, c.reset = true, err != io.EOF
	}
	return n > 0
}

// response takes one response, 1xx too, off the front.
func (c *caller) response(toHEAD bool, wait time.Duration) (*message, error) {
	for {
		if len(c.got) > 0 {
			m, n, err := strictResponse(c.got, toHEAD, c.ended && !c.reset)
			if err == nil {
				c.got = c.got[n:]
				return m, nil
			}
			if !errors.Is(err, errMore) {
				return nil, err
			}
		}
		if !c.fill(wait) && !c.ended {
			return nil, errSilent
		}
		if c.ended && (len(c.got) == 0 || c.reset) {
			return nil, io.ErrUnexpectedEOF
		}
		if c.ended {
			m, n, err := strictResponse(c.got, toHEAD, true)
			if err != nil {
				return nil, err
			}
			c.got = c.got[n:]
			return m, nil
		}
	}
}

// echoes reports whether the tunnel carries bytes both ways.
func (c *caller) echoes(wait time.Duration) bool {
	_, _ = io.WriteString(c, "ping\n")
	for !strings.Contains(string(c.got), "PING\n") {
		if !c.fill(wait) {
			return false
		}
	}
	return true
}
