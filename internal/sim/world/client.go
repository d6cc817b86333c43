package world

import (
	"bytes"
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// request is a line of the ledger: what a client sent and what became of it.
type request struct {
	id       string
	method   string
	path     string // "pub", "key", "no"
	key      string
	bodyLen  int
	respLen  int // what a sound upstream answers with
	client   *client
	sentAt   time.Time
	began    bool // some byte of it reached the network
	answered bool // a complete response came
	status   int
	excused  string // why no complete response is owed
	raced    bool   // sent while the proxy's goodbye was on its way
	executed int    // how often an upstream took it whole
	flawed   bool   // an upstream answered it with a fault
	draining bool   // sent after draining had begun
}

// client is a scripted HTTP/1.1 client: it sends its requests one after the other, or
// in a batch, on one connection or on one each.
type client struct {
	w       *world
	sock    *sim.Sock
	kind    clientKind
	left    int
	pending []*request // sent, not answered
	resp    h1.Response
	body    h1.Body
	inBody  bool
	got     []byte
	content []byte
	ended   bool
	told    bool // a response said close
	writing bool // the rest of a request is still to be sent
}

type clientKind int

const (
	keepAlive clientKind = iota
	perRequest
	pipeliner
	rude     // resets in the middle
	idler    // connects and says nothing, or one request and then nothing
	halfOpen // FIN right behind the request
	numClientKinds
)

func newClient(w *world) {
	if w.quiet {
		return
	}
	c := &client{w: w, kind: clientKind(w.net.Rand.IntN(int(numClientKinds)))}
	if w.net.Chance(0.35) {
		c.kind = keepAlive
	}
	c.left = 1 + w.net.Rand.IntN(8)
	switch c.kind {
	case idler:
		c.left = w.net.Rand.IntN(2)
	case halfOpen:
		c.left = 1
	case keepAlive, perRequest, pipeliner, rude, numClientKinds:
	}
	c.connect()
}

// newKnock is one request on a connection of its own.
func newKnock(w *world) {
	c := &client{w: w, kind: perRequest, left: 1}
	c.connect()
}

func (c *client) connect() {
	if c.w.quiet {
		return
	}
	c.ended, c.told, c.inBody, c.got = false, false, false, nil
	c.sock = c.w.net.Dial(webAddr, sim.Events{
		Connected: func(err error) {
			if err != nil {
				c.ended = true
				return
			}
			if c.left > 0 {
				c.w.net.After(c.w.net.Between(0, 20*time.Millisecond), c.send)
			}
		},
		Data:  c.data,
		EOF:   func() { c.end("closed") },
		Reset: func() { c.end("reset") },
	})
}

// send sends the next request, or a batch.
func (c *client) send() {
	if c.ended || c.told || c.w.quiet || c.left == 0 {
		return
	}
	if c.writing { // answered before it was sent whole
		c.w.net.After(10*time.Millisecond, c.send)
		return
	}
	batch := 1
	if c.kind == pipeliner {
		batch = min(c.left, 1+c.w.net.Rand.IntN(5))
	}
	var out []byte
	for range batch {
		r := c.w.newRequest(c)
		c.left--
		c.pending = append(c.pending, r)
		out = append(out, r.bytes(c.w)...)
	}
	if c.kind == rude {
		c.w.net.Count["client reset"]++
		for _, r := range c.pending {
			r.excused = "the client reset it"
		}
		out = out[:1+c.w.net.Rand.IntN(len(out))]
		c.sock.Write(out)
		c.w.net.After(c.w.net.Between(0, 50*time.Millisecond), func() {
			if c.sock.Alive() {
				c.ended = true
				c.sock.Abort()
			}
		})
		return
	}
	if c.w.net.Chance(0.2) && len(out) > 1 { // in two pieces, with a pause between them
		c.w.net.Count["slow request"]++
		k := 1 + c.w.net.Rand.IntN(len(out)-1)
		sock, rest := c.sock, out[k:]
		c.sock.Write(out[:k])
		c.writing = true
		c.w.net.After(c.w.net.Between(0, 800*time.Millisecond), func() {
			c.writing = false
			sock.Write(rest)
		})
		if c.kind == halfOpen {
			c.kind = keepAlive
		}
	} else {
		c.sock.Write(out)
	}
	if c.kind == halfOpen {
		c.w.net.Count["half-close"]++
		c.sock.CloseWrite()
	}
}

func (w *world) newRequest(c *client) *request {
	rnd := w.net.Rand
	r := &request{id: requestID(len(w.requests)), client: c, method: "GET", path: "pub", sentAt: w.net.Now(), began: true,
		draining: w.tracker.State() >= drain.Draining}
	switch rnd.IntN(6) {
	case 0, 1:
		r.method = "POST"
		r.bodyLen = []int{0, 1, 1, 100, 100, 3000, 20_000}[rnd.IntN(7)]
	case 2:
		r.method = "HEAD"
	}
	switch rnd.IntN(6) {
	case 0:
		r.path = "no"
	case 1:
		r.path, r.key = "key", []string{"", "bad", goodKey, goodKey}[rnd.IntN(4)]
	}
	r.respLen = []int{0, 2, 2, 100, 500, 500, 5_000, 40_000}[rnd.IntN(8)]
	w.requests = append(w.requests, r)
	w.byID[r.id] = r
	w.trace("client %p sends %s %s/%s body %d, wants %d", c, r.method, r.path, r.id, r.bodyLen, r.respLen)
	return r
}

// bytes is the request on the wire.
func (r *request) bytes(w *world) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s /%s/%s?len=%d HTTP/1.1\r\nHost: app.test\r\n", r.method, r.path, r.id, r.respLen)
	if r.key != "" {
		fmt.Fprintf(&b, "X-API-Key: %s\r\n", r.key)
	}
	switch {
	case r.method != "POST":
		b.WriteString("\r\n")
	case w.net.Chance(0.5):
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", r.bodyLen)
		b.Write(body(r.id, r.bodyLen))
	default:
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		out := b.Bytes()
		for data := body(r.id, r.bodyLen); len(data) > 0; {
			k := 1 + w.net.Rand.IntN(len(data))
			out = h1.AppendChunk(out, data[:k])
			data = data[k:]
		}
		return h1.AppendLastChunk(out, nil)
	}
	return b.Bytes()
}

func (c *client) data(b []byte) {
	c.got = append(c.got, b...)
	for !c.ended && c.parse() {
	}
	// Some clients read late, so that data waits in the network.
	if !c.ended && c.w.net.Chance(0.05) {
		c.w.net.Count["slow reader"]++
		sock := c.sock
		sock.Pause()
		c.w.net.After(c.w.net.Between(0, 700*time.Millisecond), sock.Resume)
	}
}

// parse takes one step through what came; false: more is needed.
func (c *client) parse() bool {
	if len(c.pending) == 0 {
		if len(c.got) > 0 {
			c.w.violate("a client got %q without having asked", c.got[:min(60, len(c.got))])
			c.stop()
		}
		return false
	}
	r := c.pending[0]
	if !c.inBody {
		n, err := c.resp.Parse(c.got, r.method == "HEAD", h1.Limits{})
		if err != nil {
			c.w.violate("%s: the response is malformed: %v: %q", r.id, err, c.got[:min(80, len(c.got))])
			c.stop()
			return false
		}
		if n == 0 {
			return false
		}
		if c.resp.Status < 200 {
			c.got = c.got[n:]
			return true
		}
		r.status = c.resp.Status
		c.told = !c.resp.KeepAlive
		c.body.Reset(c.resp.Body, c.resp.Length)
		c.inBody, c.content = true, nil
		c.got = c.got[n:]
	}
	for len(c.got) > 0 && !c.body.Done() {
		data, n, err := c.body.Next(c.got)
		if err != nil {
			c.w.violate("%s: the response body is malformed: %v", r.id, err)
			c.stop()
			return false
		}
		c.content = append(c.content, data...)
		c.got = c.got[n:]
	}
	if !c.body.Done() {
		return false
	}
	c.answered(r)
	return true
}

// answered: a complete response to r.
func (c *client) answered(r *request) {
	c.pending = c.pending[1:]
	c.inBody = false
	r.answered = true
	c.w.trace("client %p has %d for %s (close %v)", c, r.status, r.id, c.told)
	c.check(r)
	if c.told {
		for _, p := range c.pending {
			p.excused = "pipelined behind a goodbye" // RFC 9112 section 9.3.2: to be sent again
		}
		c.pending = nil
		c.stop()
		c.again()
		return
	}
	if r.draining && len(c.pending) == 0 && c.kind != pipeliner && c.w.state > 0 {
		c.w.violate("%s was sent while draining, and its response does not say goodbye", r.id)
	}
	if len(c.pending) == 0 && c.left > 0 {
		if c.kind == perRequest {
			c.stop()
			c.again()
			return
		}
		c.w.net.After(c.w.net.Between(0, 400*time.Millisecond), c.send)
	}
	if len(c.pending) == 0 && c.left == 0 && c.w.net.Chance(0.5) {
		c.stop()
	}
}

// check compares the response with what the request deserves.
func (c *client) check(r *request) {
	w := c.w
	reason, _ := c.resp.Field("x-sluice-reason")
	switch {
	case r.status == 200:
		want := body(r.id, r.respLen)
		if r.method == "HEAD" {
			want = nil
		}
		switch {
		case r.path == "no", r.path == "key" && r.key != goodKey:
			w.violate("%s was not allowed and got 200", r.id)
		case !bytes.Equal(c.content, want) && r.flawed:
			w.violate("%s: a truncated response (%d of %d bytes) looks whole", r.id, len(c.content), len(want))
		case !bytes.Equal(c.content, want):
			w.violate("%s got another response: %d bytes, want %d", r.id, len(c.content), len(want))
		}
	case r.status == 503 && string(reason) == "draining" && w.admittedAt.IsZero():
	case r.status == 503 && string(reason) == "draining":
		w.violate("%s reached us and was refused because of the drain", r.id)
	case r.status == 503 && string(reason) == "policy_unsynced":
		if w.enforced != 0 && r.sentAt.After(w.enforcedAt.Add(w.net.MaxDelay)) && w.signals == 0 && w.enforcedAt.Before(r.sentAt.Add(-time.Second)) {
			w.violate("%s was refused for want of a policy that is in force", r.id)
		}
	case r.status == 503 && string(reason) == "drain_deadline":
		if !w.cutNow && w.net.Now().Before(w.deadline.Add(-time.Second)) {
			w.violate("%s was cut before the deadline", r.id)
		}
	case r.path == "no" && r.status != 403, r.path == "key" && r.key != goodKey && r.status != 401:
		if r.status != 503 {
			w.violate("%s (%s, key %q) got %d", r.id, r.path, r.key, r.status)
		}
	case r.status == 502, r.status == 504:
		if !r.flawed && w.upstreamFaults == 0 {
			w.violate("%s got %d (%s) although every upstream was well", r.id, r.status, reason)
		}
	}
}

// again goes on with a new connection, after a while.
func (c *client) again() {
	if c.left > 0 && !c.w.quiet && c.kind != rude {
		c.w.net.After(c.w.net.Between(0, 200*time.Millisecond), c.connect)
	}
}

// stop closes our side in good order.
func (c *client) stop() {
	if !c.ended {
		c.ended = true
		c.sock.CloseWrite()
		sock := c.sock
		sock.SetEvents(sim.Events{EOF: sock.Close, Reset: func() {}})
		c.w.net.After(20*time.Second, sock.Close)
	}
}

// end: the proxy closed, or reset.
func (c *client) end(how string) {
	if c.ended {
		return
	}
	c.ended = true
	if c.inBody && how == "closed" && c.body.EOF() == nil && len(c.pending) > 0 {
		c.answered(c.pending[0]) // the body lasted until the close
	}
	for i, r := range c.pending {
		c.w.trace("client: %s %s", r.id, how)
		if i > 0 && c.w.upstreamToBlame(c.pending[0]) {
			r.excused = "pipelined behind a response that an upstream cut short"
		}
		if r.excused == "" {
			c.w.lost(r, how)
		}
	}
	c.pending = nil
	c.sock.Close()
	c.again()
}

// upstreamToBlame: the response was begun by an upstream that broke, or was restarted.
func (w *world) upstreamToBlame(r *request) bool {
	return r.flawed || w.upstreamFaults > 0 && r.executed > 0
}

// lost: a request was sent and no complete response came. Some reasons excuse that.
func (w *world) lost(r *request, how string) {
	switch {
	case w.upstreamToBlame(r):
		return // the upstream's fault, and visible as one
	case w.cutNow:
		return
	case w.admittedAt.IsZero():
		return // the start was stopped: nobody was ever served
	case !w.deadline.IsZero() && !w.net.Now().Before(w.deadline.Add(-2*time.Second)):
		return // the receipt must name it; judge counts
	}
	w.violate("lost: %s %s/%s (%s, executed %d times)", r.method, r.path, r.id, how, r.executed)
}
