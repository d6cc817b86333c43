package world

import (
	"slices"
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// h2Client is a scripted HTTP/2 client: several requests at a time on one connection. What it reads is in
// h2reader.go; what it thinks of how it is told to leave, in h2goodbye.go.
type h2Client struct {
	h2end
	addr     string
	kind     h2Kind
	left     int       // requests still to be sent, on this connection or a later one
	most     int       // of them at a time
	opened   int       // on this connection
	calls    []*h2Call // whose streams are open
	early    bool      // it came before anything was admitted, and may still be a stranger
	stalled  bool      // it did not read for a long time, once
	readsAt  time.Time // again, after it read late
	lastDone time.Time // when its last stream ended
	moved    bool      // what is left goes to another connection
	h2Goodbye
}

// h2Call is one request and its stream.
type h2Call struct {
	r       *request
	s       *h2.Stream // nil: it ended
	rest    []byte     // of the body, not written yet
	sent    bool       // all of the request left
	wroteAt time.Time  // a piece of it
	match   matcher
	whole   bool // all of the response came
	stuck   bool // what comes is not consumed any more
}

type h2Kind int

const (
	h2Steady h2Kind = iota
	h2Rude          // resets streams in the middle, or the connection
	h2Slow          // gives its windows back late
	h2Stuck         // gives one stream no window back, ever
	h2Idler         // connects and says little
	h2Leaver        // FIN right behind its requests
	numH2Kinds
)

// newH2Client connects one.
func newH2Client(w *world) {
	c := &h2Client{h2end: h2end{w: w}, addr: webAddr, most: 1 + w.net.Rand.IntN(6), left: 1 + w.net.Rand.IntN(12)}
	if w.net.Chance(0.5) {
		c.kind = h2Kind(w.net.Rand.IntN(int(numH2Kinds)))
	}
	if w.net.Chance(0.3) {
		c.addr = altAddr
	}
	switch c.kind {
	case h2Stuck:
		if w.net.Chance(0.6) { // most stops are not to last until their deadline
			c.kind = h2Steady
		}
	case h2Idler:
		c.left = w.net.Rand.IntN(3)
	case h2Leaver:
		c.left, c.most = 1+w.net.Rand.IntN(3), 3
	case h2Steady, h2Rude, h2Slow, numH2Kinds:
	}
	c.connect()
}

func (c *h2Client) connect() {
	w := c.w
	if w.quiet {
		return
	}
	cfg := h2.Config{Client: true}
	if c.kind != h2Leaver { // behind its FIN it can give no window
		cfg.StreamWindow = []int{1 << 10, 16 << 10, 64 << 10, 256 << 10}[w.net.Rand.IntN(4)]
		cfg.ConnWindow = 1 << 16
	}
	c.core = h2.New(cfg, c)
	c.sock = w.net.Dial(c.addr, sim.Events{
		Connected: func(err error) {
			if err != nil {
				c.ended = true
				w.notConnected(err)
				return
			}
			w.net.Count["HTTP/2 client"]++
			w.h2Peers[c.sock.Addr.String()] = true
			c.early = w.admittedAt.IsZero()
			c.flush()
			if w.net.Chance(0.4) { // before it knows the limits of the server
				c.most = min(c.most, 2)
				c.send()
			}
		},
		Data:  c.data,
		EOF:   func() { c.end("closed") },
		Reset: func() { c.end("reset") },
	})
}

// Settings implements h2.Events: the server has said what it takes.
func (c *h2Client) Settings() {
	if c.opened == 0 {
		c.w.net.After(c.w.net.Between(0, 20*time.Millisecond), c.send)
	}
}

// send opens streams, one or some.
func (c *h2Client) send() {
	w := c.w
	if c.ended || w.quiet || c.left == 0 || c.core.PeerLeft() {
		return
	}
	for range 1 + w.net.Rand.IntN(c.most) {
		if c.left > 0 && len(c.calls) < c.most && c.core.Room() > 0 {
			c.open()
		}
	}
	c.flush()
	if c.kind == h2Leaver && c.left == 0 {
		w.net.After(0, c.halfClose)
		return
	}
	if c.kind == h2Rude && w.net.Chance(0.3) {
		w.net.After(w.net.Between(0, 50*time.Millisecond), c.breakOff)
	}
	if c.left > 0 {
		w.net.After(w.net.Between(0, 300*time.Millisecond), c.send)
	}
}

// open sends one request, and begins its body.
func (c *h2Client) open() {
	w := c.w
	r := w.newRequestOf(c.sock.Addr, false)
	if c.kind == h2Leaver {
		r.bodyLen = min(r.bodyLen, 1000) // all of it leaves before FIN
	}
	fields := []h2.Field{pair(":method", r.method), pair(":scheme", "http"), pair(":authority", "app.test"),
		pair(":path", "/"+r.path+"/"+strconv.Itoa(r.num)+"?q=1")}
	if r.key != "" {
		fields = append(fields, pair("x-api-key", r.key))
	}
	bodied := r.method == "POST"
	if bodied && w.net.Chance(0.5) {
		fields = append(fields, pair("content-length", strconv.Itoa(r.bodyLen)))
	}
	bare := !bodied || r.bodyLen == 0 && w.net.Chance(0.5)
	s, err := c.core.Open(fields, bare)
	if err != nil {
		panic("BUG: a stream that there is room for does not open: " + err.Error())
	}
	call := &h2Call{r: r, s: s, rest: body(r.num, r.bodyLen), wroteAt: w.net.Now()}
	call.match.want = body(r.num, r.respLen)
	if r.method == "HEAD" {
		call.match.want = nil
	}
	call.stuck = c.kind == h2Stuck && c.opened == 0
	s.Owner = call
	c.left--
	c.opened++
	c.calls = append(c.calls, call)
	if !bare {
		c.upload(call, c.kind == h2Leaver || w.net.Chance(0.5))
	}
	if c.kind == h2Rude && w.net.Chance(0.5) || w.net.Chance(0.02) {
		w.net.After(w.net.Between(0, 200*time.Millisecond), func() { c.cancel(call) })
	}
}

// upload writes a piece of a body, or all that is left, and the rest later.
func (c *h2Client) upload(call *h2Call, all bool) {
	w := c.w
	k := len(call.rest)
	if !all && k > 1 {
		w.net.Count["body in pieces"]++
		k = 1 + w.net.Rand.IntN(k)
	}
	piece := call.rest[:k]
	call.rest = call.rest[k:]
	call.s.Write(piece, len(call.rest) == 0)
	if len(call.rest) > 0 {
		w.net.After(w.net.Between(0, 300*time.Millisecond), func() {
			if call.s != nil && !c.ended {
				c.upload(call, w.net.Chance(0.4))
				c.flush()
			}
		})
	}
}

// flush notes what of the requests has left.
func (c *h2Client) flush() {
	c.h2end.flush()
	for _, call := range c.calls {
		if !call.sent && call.s != nil {
			call.wroteAt, call.sent = c.w.net.Now(), call.s.Sent()
		}
	}
}

// forget takes a call out of those whose streams are open.
func (c *h2Client) forget(call *h2Call) {
	call.s = nil
	c.lastDone = c.w.net.Now()
	if i := slices.Index(c.calls, call); i >= 0 {
		c.calls = slices.Delete(c.calls, i, i+1)
	}
}

// party is what may excuse the loss of a call.
func (c *h2Client) party(call *h2Call) party {
	w := c.w
	p := party{addr: c.sock.Addr, wroteAt: call.wroteAt, readsAt: c.readsAt, writing: !call.sent, shared: !c.stalled}
	if c.sock.Unacked() > 0 { // it waits for the network
		p.wroteAt = w.net.Now()
	}
	p.pastClass = w.pastClass(call.r.path) || slices.ContainsFunc(c.calls, func(o *h2Call) bool { return w.pastClass(o.r.path) })
	for _, o := range c.calls { // the deadline of a route does not hold for what runs on another
		if c.stalled {
			break // nobody knows which of them still run
		}
		p.pastClass = p.pastClass && (o.r.sound != nil || w.pastClass(o.r.path))
	}
	return p
}
