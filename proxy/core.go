package proxy

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// Core is everything of the proxy that touches no socket, clock or goroutine: the
// walk of exchanges and tunnels, the gate, the clusters, the counters. A driver
// carries it; Server is the product's shell around one, the simulation another.
type Core struct {
	cfg       Config
	tracker   *drain.Tracker
	post      func(shard int, v any)
	gate      gate
	upstreams upstream.Set
	listeners []*listener
	book      statsBook

	open          atomic.Int64 // admitted downstream connections
	succeeded     atomic.Bool  // a successor accepts in our place: what ends here goes on there
	unadmitted    counter      // downstream connections that hold no handle
	retiring      counter      // loops that have not heard of Retire yet
	sources       sources      // of admitted connections
	denied        atomic.Int64 // TCP connections that were admitted, refused, and are not closed yet
	upstreamsOpen atomic.Int64 // upstream connections: dialed, busy, idle or closing

	access   access
	applying sync.Mutex // serialises Apply

	keepsCookies   bool     // some authenticator does: see cookies.go
	assertionNames []string // Config.AssertionFields in lower case

	mu    sync.Mutex // guards loops
	loops []*loop
}

// NewCore makes a core. post is the Post of the driver that will carry it: the
// tracker's evictions reach the loops through it.
func NewCore(cfg Config, tracker *drain.Tracker, post func(shard int, v any)) *Core {
	core := &Core{cfg: cfg.withDefaults(), tracker: tracker, post: post}
	var err error
	if core.access, err = core.cfg.Access.read(); err != nil {
		panic("BUG: proxy: Config.Access: " + err.Error()) // Check says it before
	}
	for _, a := range core.cfg.Authenticators {
		_, ok := a.(authz.Renewer)
		core.keepsCookies = core.keepsCookies || ok
	}
	for _, name := range core.cfg.AssertionFields {
		core.assertionNames = append(core.assertionNames, strings.ToLower(name))
	}
	for i, ln := range core.cfg.Listeners {
		core.listeners = append(core.listeners, &listener{cfg: ln, index: i})
	}
	return core
}

// Handler makes the handler of one shard; give it to the driver's Start.
func (core *Core) Handler(sh engine.Shard) engine.Handler {
	l := &loop{Core: core, sh: sh, log: accessLog{access: core.access, sink: core.cfg.AccessLog}, decisions: decisionLog{sink: core.cfg.DecisionLog}, rnd: core.random(sh.Index())}
	core.mu.Lock()
	core.loops = append(core.loops, l)
	core.mu.Unlock()
	return l
}

// random is the source of request IDs of one loop.
func (core *Core) random(shard int) *rand.ChaCha8 {
	var seed [32]byte
	if core.cfg.Seed != 0 {
		binary.LittleEndian.PutUint64(seed[:], core.cfg.Seed)
		seed[31] = byte(shard)
	} else if _, err := crand.Read(seed[:]); err != nil {
		panic("BUG: crypto/rand never fails: " + err.Error())
	}
	return rand.NewChaCha8(seed)
}

// postAll brings v to every loop.
func (core *Core) postAll(v any) {
	core.mu.Lock()
	n := len(core.loops)
	core.mu.Unlock()
	for i := range n {
		core.post(i, v)
	}
}

// postOthers brings v to every loop but one.
func (core *Core) postOthers(shard int, v any) {
	core.mu.Lock()
	n := len(core.loops)
	core.mu.Unlock()
	for i := range n {
		if i != shard {
			core.post(i, v)
		}
	}
}

// Admitted tells the loops that the tracker is open: connections that came before get
// their handle.
func (core *Core) Admitted() { core.postAll(admitNote{}) }

// AcceptFailed counts an accept that a driver has to try again. Any goroutine may call it.
func (core *Core) AcceptFailed(listener int) { core.listeners[listener].failed.Add(1) }

// Shut tells the loops that the listeners are closed: whoever was never admitted and
// said nothing goes. AwaitUnadmitted waits for that.
func (core *Core) Shut() { core.postAll(shutNote{}) }

// Unadmitted is the number of downstream connections without a handle.
func (core *Core) Unadmitted() int { return core.unadmitted.value() }

// AwaitUnadmitted waits until no connection without a handle is left, or ctx ends.
func (core *Core) AwaitUnadmitted(ctx context.Context) error { return core.unadmitted.wait(ctx) }

// Retire closes every idle upstream connection, once nobody is left who could use one, and
// waits until that is done, or ctx ends. Otherwise they would end with the driver, by a reset.
func (core *Core) Retire(ctx context.Context) error {
	core.mu.Lock()
	n := len(core.loops)
	core.mu.Unlock()
	for range n {
		core.retiring.add()
	}
	core.postAll(retireNote{})
	return core.retiring.wait(ctx)
}

// How many refused connections may be open, waiting for their 503 or for their peer's FIN:
// while there is room for connections, and where there is none, where descriptors are
// short and the probes need some.
const (
	maxRefused = 4096
	maxSurplus = 32
)

// mayLinger reports whether one more refused connection, which is counted already, may
// take its time. The others are closed at once. Refused connections have one descriptor
// and not two, so what fits into limits.max_connections fits into the descriptors.
func (core *Core) mayLinger() bool {
	n := int64(core.unadmitted.value()) + core.denied.Load()
	return n <= maxSurplus || n <= maxRefused && n+core.open.Load() <= int64(core.cfg.MaxConnections)
}

// counter is a number that can be waited for. The zero value is 0.
type counter struct {
	mu   sync.Mutex // guards n and zero
	n    int
	zero chan struct{} // closed when n reaches 0; nil if nobody waits
}

func (c *counter) add() {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
}

func (c *counter) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n--
	if c.n == 0 && c.zero != nil {
		close(c.zero)
		c.zero = nil
	}
}

func (c *counter) value() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (c *counter) wait(ctx context.Context) error {
	c.mu.Lock()
	if c.n == 0 {
		c.mu.Unlock()
		return nil
	}
	if c.zero == nil {
		c.zero = make(chan struct{})
	}
	zero := c.zero
	c.mu.Unlock()
	select {
	case <-zero:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
