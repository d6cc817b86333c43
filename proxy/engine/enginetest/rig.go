package enginetest

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// patience is how long a test waits for an event before it fails.
const patience = 20 * time.Second

// rig is a driver whose handlers write down every call, and do what a test tells them.
type rig struct {
	t   *testing.T
	d   engine.Driver
	ref *Referee
	// react, if set, is called on the loop for every event before it is written down; true
	// swallows the event. Set before the driver starts.
	react func(sh engine.Shard, e event) bool

	mu     sync.Mutex                // guards what follows
	change chan struct{}             // closed and replaced at each event
	events map[engine.ConnID][]event // not yet taken, in order
	fresh  []event                   // Accepted, not yet taken
	all    int                       // Accepted ever
}

// kind names a call of engine.Handler.
type kind string

const (
	accepted kind = "Accepted"
	dialed   kind = "Dialed"
	received kind = "Received"
	eof      kind = "EOF"
	sent     kind = "Sent"
	moved    kind = "Moved"
	closed   kind = "Closed"
	fired    kind = "Fired"
	answered kind = "Answer"
	noticed  kind = "Notice"
)

// event is one call of a handler.
type event struct {
	kind     kind
	id       engine.ConnID
	data     []byte // of Received: a copy, unless react is asked
	err      error  // of Dialed
	end      engine.End
	timer    engine.Timer
	value    any // of Answer and Notice
	listener int
	peer     engine.Peer
	n        int64 // of Moved, whose id is the source
	done     bool
	at       time.Time
}

// start runs a driver until the test ends.
func start(t *testing.T, f Factory, o Options, react func(engine.Shard, event) bool) *rig {
	t.Helper()
	if o.Shards == 0 {
		o.Shards = 1
	}
	r := &rig{t: t, d: f(o), ref: &Referee{Fault: t.Errorf}, react: react, change: make(chan struct{}), events: map[engine.ConnID][]event{}}
	r.d.Start(r.ref.Watch(func(sh engine.Shard) engine.Handler { return &scripted{r: r, sh: sh} }))
	t.Cleanup(func() {
		r.d.Close()
		r.ref.Final()
	})
	return r
}

// listen opens a listener of the driver on loopback.
func (r *rig) listen(index int) net.Listener {
	r.t.Helper()
	ln := listen(r.t)
	if err := r.d.Listen(index, ln); err != nil {
		r.t.Fatal(err)
	}
	return ln
}

// listen is a loopback listener that closes without loss: no multipath TCP, which
// takes no socket filter.
func listen(t *testing.T) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// write keeps an event and wakes who waits.
func (r *rig) write(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.kind == accepted {
		r.fresh = append(r.fresh, e)
		r.all++
	} else {
		r.events[e.id] = append(r.events[e.id], e)
	}
	close(r.change)
	r.change = make(chan struct{})
}

// await waits until take, called under mu, says that it has what it wants.
func (r *rig) await(what string, take func() bool) {
	r.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		r.mu.Lock()
		ok, change := take(), r.change
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-change:
		case <-deadline.C:
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("no %s within %v; unread events: %v", what, patience, r.events)
		}
	}
}

// do runs f on the loop of a shard, as a handler call, and waits for it.
func (r *rig) do(shard int, f func(sh engine.Shard)) {
	r.t.Helper()
	done := make(chan struct{})
	r.d.Post(shard, func(sh engine.Shard) {
		defer close(done)
		f(sh)
	})
	select {
	case <-done:
	case <-time.After(patience):
		r.t.Fatalf("a post was not delivered within %v", patience)
	}
}

// acceptances is the number of Accepted calls ever.
func (r *rig) acceptances() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all
}

// conn is the driver's side of one connection, as the test sees it.
type conn struct {
	r  *rig
	id engine.ConnID
}

// pair dials ln and returns both sides.
func (r *rig) pair(ln net.Listener) (conn, *net.TCPConn) {
	r.t.Helper()
	peer := dial(r.t, ln)
	local := peer.LocalAddr().(*net.TCPAddr).AddrPort()
	var c conn
	r.await("Accepted of "+local.String(), func() bool {
		i := slices.IndexFunc(r.fresh, func(e event) bool { return e.peer.Remote == local })
		if i < 0 {
			return false
		}
		c = conn{r, r.fresh[i].id}
		r.fresh = slices.Delete(r.fresh, i, i+1)
		return true
	})
	return c, peer
}

// do runs f on the loop of the connection.
func (c conn) do(f func(sh engine.Shard)) {
	c.r.t.Helper()
	c.r.do(c.id.Shard(), f)
}

// next is the next event of the connection, which must be of that kind.
func (c conn) next(want kind) event {
	c.r.t.Helper()
	e := c.any(string(want))
	if e.kind != want {
		c.r.t.Fatalf("%s (%+v), want %s", e.kind, e, want)
	}
	return e
}

// any is the next event of the connection, whatever it is; what says what is waited for.
func (c conn) any(what string) (e event) {
	c.r.t.Helper()
	c.r.await(what, func() bool {
		list := c.r.events[c.id]
		if len(list) == 0 {
			return false
		}
		e, c.r.events[c.id] = list[0], list[1:]
		return true
	})
	return e
}

// pending is the number of events that were not taken yet.
func (c conn) pending() int {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	return len(c.r.events[c.id])
}

// data takes Received events until n bytes came.
func (c conn) data(n int) (got []byte) {
	c.r.t.Helper()
	for len(got) < n {
		got = append(got, c.next(received).data...)
	}
	return got
}

// closed takes the rest: Closed, which nothing follows.
func (c conn) closed() engine.End {
	c.r.t.Helper()
	return c.next(closed).end
}

func (c conn) send(b []byte) { c.r.t.Helper(); c.do(func(sh engine.Shard) { sh.Send(c.id, b) }) }
func (c conn) pause()        { c.r.t.Helper(); c.do(func(sh engine.Shard) { sh.Pause(c.id) }) }
func (c conn) resume()       { c.r.t.Helper(); c.do(func(sh engine.Shard) { sh.Resume(c.id) }) }
func (c conn) abort()        { c.r.t.Helper(); c.do(func(sh engine.Shard) { sh.Abort(c.id) }) }
func (c conn) closeWrite()   { c.r.t.Helper(); c.do(func(sh engine.Shard) { sh.CloseWrite(c.id) }) }
func (c conn) close(linger time.Duration) {
	c.r.t.Helper()
	c.do(func(sh engine.Shard) { sh.Close(c.id, linger) })
}
