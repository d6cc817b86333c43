package world

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// client is a scripted HTTP/1.1 client: it sends its requests one after the other, or
// in a batch, on one connection or on one each. What it reads is in reader.go.
type client struct {
	w       *world
	sock    *sim.Sock
	addr    string
	kind    clientKind
	left    int        // requests still to be sent
	pending []*request // sent, not answered
	writing bool       // the rest of a request is still to be sent
	wroteAt time.Time  // the last request, or piece of one
	ended   bool       // by us or by the proxy
	told    bool       // a response said close
	stalled bool       // it did not read for a long time, once
	readsAt time.Time  // again, after it read late

	resp   h1.Response
	body   h1.Body
	inBody bool
	got    []byte
	match  matcher
}

type clientKind int

const (
	keepAlive clientKind = iota
	perRequest
	pipeliner
	rude     // resets in the middle
	idler    // connects and says nothing, or one request and then nothing
	halfOpen // FIN right behind the request
	dribbler // one request, piece by piece
	upgrader // one request, for a tunnel: see upgrade.go
	numClientKinds
)

func newClient(w *world) {
	c := &client{w: w, addr: webAddr, kind: clientKind(w.net.Rand.IntN(int(dribbler)))}
	if w.net.Chance(0.35) {
		c.kind = keepAlive
	}
	if w.net.Chance(0.3) {
		c.addr = altAddr
	}
	c.left = 1 + w.net.Rand.IntN(8)
	switch c.kind {
	case idler:
		if c.left = w.net.Rand.IntN(2); c.left == 0 {
			w.net.Count["silent client"]++
		}
	case halfOpen:
		c.left = 1
	case keepAlive, perRequest, pipeliner, rude, dribbler, upgrader, numClientKinds:
	}
	c.connect()
}

// newKnock is one request on a connection of its own.
func newKnock(w *world) {
	(&client{w: w, addr: webAddr, kind: perRequest, left: 1}).connect()
}

// newDribbler is one request that is still being sent when the stop comes.
func newDribbler(w *world, method string, stop time.Duration) {
	c := &client{w: w, addr: webAddr, kind: dribbler}
	c.dial(func() {
		r := w.newRequest(c)
		r.method, r.bodyLen = method, 0
		if method == "POST" {
			r.bodyLen = 200 + w.net.Rand.IntN(3000)
		}
		c.pending = append(c.pending, r)
		out := r.append(w, nil)
		until := stop + w.net.Between(0, 4*time.Second)
		if w.net.Chance(0.6) { // until idle connections are closed; a head has ten seconds
			until = stop + w.net.Between(7*time.Second, 9*time.Second)
		}
		pieces := 2 + w.net.Rand.IntN(4)
		c.dribble(out, pieces, max(0, until-w.since())/time.Duration(pieces))
	})
}

// dribble sends out in so many pieces with pauses between them.
func (c *client) dribble(out []byte, pieces int, pause time.Duration) {
	if c.ended {
		return
	}
	k := max(1, len(out)/pieces)
	if pieces <= 1 {
		k = len(out)
	}
	c.writing = k < len(out)
	c.wroteAt = c.w.net.Now()
	c.sock.Write(out[:k])
	if c.writing {
		c.w.net.After(pause, func() { c.dribble(out[k:], pieces-1, pause) })
	}
}

func (c *client) connect() {
	c.dial(func() {
		if c.left > 0 {
			c.w.net.After(c.w.net.Between(0, 20*time.Millisecond), c.send)
		}
	})
}

// dial opens a new connection and calls then once it stands.
func (c *client) dial(then func()) {
	if c.w.quiet {
		return
	}
	c.ended, c.told, c.writing, c.inBody, c.got = false, false, false, false, nil
	c.sock = c.w.net.Dial(c.addr, sim.Events{
		Connected: func(err error) {
			if err != nil {
				c.ended = true
				c.w.notConnected(err)
				return
			}
			then()
		},
		Data:  c.data,
		EOF:   func() { c.end("closed") },
		Reset: func() { c.end("reset") },
	})
}

// notConnected: nobody may be refused before the door closes, nor reset at any time.
func (w *world) notConnected(err error) {
	if err == sim.ErrReset {
		w.violate("a handshake was reset")
	} else if w.doorShut.IsZero() {
		w.violate("a dial failed while the door was open: %v", err)
	}
}

// send sends the next request, or a batch.
func (c *client) send() {
	w := c.w
	switch {
	case c.ended || c.told || w.quiet || c.left == 0:
		return
	case !c.sock.Alive(): // asked for on the connection before this one, which is still being made
		return
	case c.writing: // answered before it was sent whole
		w.net.After(10*time.Millisecond, c.send)
		return
	}
	batch := 1
	if c.kind == pipeliner {
		batch = min(c.left, 1+w.net.Rand.IntN(5))
	}
	out := w.scratch[:0]
	for range batch {
		r := w.newRequest(c)
		c.left--
		c.pending = append(c.pending, r)
		out = r.append(w, out)
	}
	w.scratch, c.wroteAt = out, w.net.Now()
	for _, r := range c.pending[:len(c.pending)-1] {
		r.goodbye = false // said to the last of a batch, if it came in time
	}
	switch {
	case c.kind == rude:
		c.breakOff(out)
	case w.net.Chance(0.2):
		c.sendSlowly(out)
	default:
		c.sock.Write(out)
		if c.kind == halfOpen {
			w.net.Count["half-close"]++
			c.sock.CloseWrite()
		}
	}
}

// breakOff sends a part and resets.
func (c *client) breakOff(out []byte) {
	c.w.net.Count["client reset"]++
	c.left = 0
	for _, r := range c.pending {
		r.excused = true
	}
	c.sock.Write(out[:1+c.w.net.Rand.IntN(len(out))])
	c.w.net.After(c.w.net.Between(0, 50*time.Millisecond), func() {
		if c.sock.Alive() {
			c.ended = true
			c.sock.Abort()
		}
	})
}

// sendSlowly sends in two pieces with a pause between them.
func (c *client) sendSlowly(out []byte) {
	c.w.net.Count["slow request"]++
	k := 1 + c.w.net.Rand.IntN(len(out)-1)
	sock, rest := c.sock, append([]byte(nil), out[k:]...)
	sock.Write(out[:k])
	c.writing = true
	c.w.net.After(c.w.net.Between(0, 800*time.Millisecond), func() {
		sock.Write(rest)
		if sock == c.sock { // and not a connection that came after it
			c.writing, c.wroteAt = false, c.w.net.Now()
		}
	})
}

// newRequest is what a client will send on c.
func (w *world) newRequest(c *client) *request { return w.newRequestOf(c.sock.Addr, w.owesGoodbye(c)) }

func (w *world) newRequestOf(from netip.AddrPort, goodbye bool) *request {
	rnd := w.net.Rand
	r := &request{num: len(w.requests), method: "GET", path: "pub", sentAt: w.net.Now(), goodbye: goodbye}
	big := min(4*w.net.Window, maxBody)
	switch rnd.IntN(6) {
	case 0, 1:
		r.method = "POST"
		r.bodyLen = []int{0, 1, 1, 100, 100, 1000, big}[rnd.IntN(7)]
	case 2:
		r.method = "HEAD"
	}
	switch rnd.IntN(8) {
	case 0:
		r.path = "no"
	case 1:
		r.path, r.key = "key", []string{"", "bad", goodKey, goodKey}[rnd.IntN(4)]
	case 2:
		r.path = "flip"
	}
	r.respLen = []int{0, 2, 2, 100, 100, 500, 500, big}[rnd.IntN(8)]
	if w.net.Chance(0.004) {
		w.net.Count["long response"]++
		r.respLen = maxBody
	}
	w.requests = append(w.requests, r)
	w.trace("client %v sends %s %s/r%d body %d, wants %d", from, r.method, r.path, r.num, r.bodyLen, r.respLen)
	return r
}

// owesGoodbye reports whether the response to what is sent now has to say goodbye: while
// draining, and in the lame duck, once all have had their turn to be told, on connections that are older.
func (w *world) owesGoodbye(c *client) bool {
	switch w.tracker.State() {
	case drain.Draining, drain.Drained:
		return true
	case drain.Leaving:
		accepted, ok := w.accepted[c.sock.Addr]
		return ok && accepted.Before(w.left) && w.net.Now().After(w.left.Add(w.notice+w.spread))
	case drain.Shut, drain.Open:
	}
	return false
}

// append writes the request as it is on the wire.
func (r *request) append(w *world, out []byte) []byte {
	out = append(append(out, r.method...), " /"...)
	out = append(append(out, r.path...), '/')
	out = strconv.AppendInt(out, int64(r.num), 10)
	out = append(out, "?q=1 HTTP/1.1\r\nHost: app.test\r\n"...)
	if r.key != "" {
		out = append(append(append(out, "X-API-Key: "...), r.key...), "\r\n"...)
	}
	if r.asks != "" {
		out = append(append(append(out, "Connection: keep-alive, Upgrade\r\nUpgrade: "...), r.asks...), "\r\n"...)
	}
	content := body(r.num, r.bodyLen)
	switch {
	case r.method != "POST":
		return append(out, "\r\n"...)
	case w.net.Chance(0.5):
		out = append(out, "Content-Length: "...)
		out = strconv.AppendInt(out, int64(r.bodyLen), 10)
		return append(append(out, "\r\n\r\n"...), content...)
	}
	return w.appendChunks(append(out, "Transfer-Encoding: chunked\r\n\r\n"...), content)
}

// appendChunks writes content as chunks of random sizes.
func (w *world) appendChunks(out, content []byte) []byte {
	for len(content) > 0 {
		k := 1 + w.net.Rand.IntN(len(content))
		out = h1.AppendChunk(out, content[:k])
		content = content[k:]
	}
	return h1.AppendLastChunk(out, nil)
}

func requestName(r *request) string { return r.path + "/r" + strconv.Itoa(r.num) }
