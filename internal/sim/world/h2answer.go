package world

import (
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/proxy/h2"
)

// h2Answer is how an upstream answers.
type h2Answer int

const (
	h2Sound       h2Answer = iota
	h2SilentReset          // instead of a response
	h2Truncated            // a reset in the middle
	h2BreaksOff            // the connection, in the middle
)

func (a h2Answer) String() string {
	return [...]string{"sound", "stream reset", "stream broken", "connection broken"}[a]
}

// fails notes that the upstream keeps v from its response.
func (c *h2UpConn) fails(v *h2Served) {
	if k := c.tap.streams[v.s.ID()]; k != nil {
		k.broke = true
	}
}

// respond answers in one of many ways.
func (c *h2UpConn) respond(v *h2Served) {
	w, r := c.w, v.r
	if c.ended || v.s == nil || v.begun {
		return
	}
	v.begun = true
	content := body(r.num, r.respLen)
	if r.method == "HEAD" {
		content = nil
	}
	how := h2Sound
	switch {
	case w.net.Chance(0.03):
		how = h2SilentReset
	case w.net.Chance(0.03) && len(content) > 0:
		how = h2Truncated
	case w.net.Chance(0.01):
		how = h2BreaksOff
	}
	w.trace("upstream %v answers r%d (early %v, %v)", c.sock.Addr, r.num, v.early, how)
	if how != h2Sound {
		w.net.Count[how.String()]++
		c.fails(v)
		r.flawed = r.flawed || how != h2SilentReset
	}
	switch how {
	case h2SilentReset: // of what it may have executed
		c.reset(v, h2.InternalError)
		c.flush()
		return
	case h2BreaksOff:
		c.breakOff()
		return
	case h2Sound, h2Truncated:
	}
	if w.net.Chance(0.05) {
		w.net.Count["interim response"]++
		v.s.Interim([]h2.Field{pair(":status", "103"), pair("link", "</x>")})
	}
	fields := []h2.Field{pair(":status", "200"), pair("x-for", "r"+strconv.Itoa(r.num))}
	if w.net.Chance(0.5) {
		fields = append(fields, pair("content-length", strconv.Itoa(r.respLen)))
	}
	r.endless = len(fields) == 2
	bare := r.method == "HEAD" || len(content) == 0 && w.net.Chance(0.5)
	v.s.Head(fields, bare)
	if how == h2Truncated {
		content = content[:len(content)-1-w.net.Rand.IntN(min(len(content), 50))]
	}
	if bare {
		c.finish(v)
	} else {
		c.write(v, content, how)
	}
	c.flush()
}

// write sends content in pieces with pauses.
func (c *h2UpConn) write(v *h2Served, content []byte, how h2Answer) {
	w := c.w
	if c.ended || v.s == nil {
		return
	}
	k := len(content)
	if k > 1 && w.net.Chance(0.3) {
		k = 1 + w.net.Rand.IntN(k-1)
	}
	v.s.Write(content[:k], false)
	if k < len(content) {
		w.net.After(w.net.Between(0, 30*time.Millisecond), func() {
			c.write(v, content[k:], how)
			c.flush()
		})
		return
	}
	if how == h2Truncated {
		c.reset(v, h2.InternalError)
		return
	}
	if w.net.Chance(0.2) {
		v.s.Trailers([]h2.Field{pair("x-sum", "1")})
	} else {
		v.s.Write(nil, true)
	}
	c.finish(v)
}

// finish: the response is queued in full.
func (c *h2UpConn) finish(v *h2Served) {
	if v.early {
		v.s.Discard()
		return
	}
	v.r.sound = c.tap.streams[v.s.ID()]
	c.answered = append(c.answered, v.r)
}
