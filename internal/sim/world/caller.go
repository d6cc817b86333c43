package world

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// caller is a client of a scenario: what it sends is given, and what comes is kept.
type caller struct {
	w     *world
	num   int // of all callers: /n is its path
	sock  *sim.Sock
	got   []byte
	ended bool           // by the proxy
	names netip.AddrPort // who the upstream has to be told that it is
	began time.Time
}

// newCaller dials; then is called once the connection stands.
func newCaller(w *world, addr string, then func(c *caller)) *caller {
	return newCallerFrom(w, netip.AddrPort{}, addr, then)
}

// newCallerFrom is newCaller from an address of one's own.
func newCallerFrom(w *world, from netip.AddrPort, addr string, then func(c *caller)) *caller {
	c := &caller{w: w, num: len(w.callers), began: w.net.Now()}
	w.callers = append(w.callers, c)
	ev := sim.Events{
		Connected: func(err error) {
			if err != nil {
				w.notConnected(err)
				return
			}
			then(c)
		},
		Data:  func(b []byte) { c.got = append(c.got, b...) },
		EOF:   func() { c.ended = true; c.sock.Close() },
		Reset: func() { c.ended = true },
	}
	if from.IsValid() {
		c.sock = w.net.DialFrom(from, addr, ev)
	} else {
		c.sock = w.net.Dial(addr, ev)
	}
	c.names = c.sock.Addr
	return c
}

// send writes b in two pieces, or in one.
func (c *caller) send(b []byte) {
	k := len(b)
	if k > 1 && c.w.net.Chance(0.5) {
		k = 1 + c.w.net.Rand.IntN(k-1)
	}
	c.sock.Write(b[:k])
	if k < len(b) {
		rest := bytes.Clone(b[k:])
		c.w.net.After(c.w.net.Between(0, 20*time.Millisecond), func() { c.sock.Write(rest) })
	}
}

// drip sends size bytes, so many each second, until the answer begins.
func (c *caller) drip(size, rate int) {
	const every = 1700 * time.Millisecond // not in step with the window of the rate: nothing is to be on its way each time it ends
	if size <= 0 || c.ended || len(c.got) > 0 {
		return
	}
	n := min(size, int(time.Duration(rate)*every/time.Second))
	c.sock.Write(body(c.num, n))
	c.w.net.After(every, func() { c.drip(size-n, rate) })
}

// sip reads so many bytes each second from now on, at most most at a time.
func (c *caller) sip(rate, most int) {
	c.sock.ReadMost(most)
	c.sock.SetEvents(sim.Events{
		Data: func(b []byte) {
			c.got = append(c.got, b...)
			c.sock.Pause()
			c.w.net.After(time.Duration(len(b))*time.Second/time.Duration(rate), c.sock.Resume)
		},
		EOF:   func() { c.ended = true; c.sock.Close() },
		Reset: func() { c.ended = true },
	})
}

// leave closes our side in good order.
func (c *caller) leave() {
	if !c.ended {
		c.sock.CloseWrite()
	}
}

// answers reads what came: the status and reason of the last response, and how many are whole.
func (c *caller) answers() (status int, reason string, whole int) {
	var r h1.Response
	var b h1.Body
	for in := c.got; len(in) > 0; whole++ {
		n, err := r.Parse(in, false, h1.Limits{})
		if err != nil {
			c.w.violate("caller %d got %q: %v", c.num, in[:min(60, len(in))], err)
			return status, reason, whole
		}
		if n == 0 {
			return status, reason, whole
		}
		v, _ := r.Field("x-sluice-reason")
		status, reason = r.Status, string(v)
		in = in[n:]
		b.Reset(r.Body, r.Length)
		for len(in) > 0 && !b.Done() {
			_, n, err := b.Next(in)
			if err != nil {
				c.w.violate("caller %d got a malformed body: %v", c.num, err)
				return status, reason, whole
			}
			in = in[n:]
		}
		if !b.Done() {
			return status, reason, whole
		}
	}
	return status, reason, whole
}

// served reports whether n whole responses came, and the last was a 200.
func (c *caller) served(n int) bool {
	status, _, whole := c.answers()
	return status == 200 && whole == n
}
