package world

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Options of one run. The zero value of each field breaks nothing.
type Options struct {
	Seed     uint64
	Mutant   Mutant    // the rules that are broken
	Scenario *Scenario // nil: whatever chance brings
	Trace    func(at time.Duration, format string, args ...any)
}

// Result is the account of one run.
type Result struct {
	Seed       uint64
	Events     int
	Violations []string
	Faults     map[string]int // what was injected, by class
	Requests   int            // sent by clients
	Answered   int            // with a complete response
	Receipt    drain.Receipt
}

const (
	webAddr, altAddr, tcpAddr = "web", "alt", "db"
	// maxTime and maxEvents are how long a run may take; far more than the budget of a
	// stop. Whatever still goes on then hangs.
	maxTime   = 90 * time.Second
	maxEvents = 200_000
	// maxViolations are kept of one run.
	maxViolations = 20
)

// listeners of the proxy, by index.
var listenerAddrs = [3]string{webAddr, altAddr, tcpAddr}

// world is one run.
type world struct {
	opt     Options
	net     *sim.Net
	driver  *sim.Driver
	core    *proxy.Core
	tracker *drain.Tracker
	machine *lifecycle.Machine
	cfg     lifecycle.Config
	notice  time.Duration // drain.Config.NoticeAfter
	spread  time.Duration // drain.Config.NoticeSpread

	// The process, as service.go moves it.
	lns        []*sim.Listener
	ready      bool
	state      lifecycle.State
	finished   bool
	returnedOK func()    // ends the Drain call that runs; nil: none does
	drainSeq   int       // of the Drain call
	cancelled  time.Time // when the Drain call was told to cut
	deadline   time.Time // of the drain

	// When things happened; zero: not yet.
	admittedAt time.Time
	left       time.Time // the lame duck began; zero again once it is undone
	undoneAt   time.Time
	unready    time.Time
	doorShut   time.Time // the first listener stopped accepting
	drainBegan time.Time
	drainedAt  time.Time
	lastDone   time.Time // Drained, and nobody unadmitted left
	exited     time.Time

	versions  []versionAt
	down      map[engine.ConnID]int            // downstream connections by listener
	accepted  map[netip.AddrPort]time.Time     // when each client's connection was accepted
	peers     map[engine.ConnID]netip.AddrPort // of downstream connections
	struck    map[netip.AddrPort]bool          // clients whose connection met a panic
	carriers  map[*sim.Sock]*carrier           // by the proxy's end
	requests  []*request
	tunnels   []*tunnelClient
	callers   []*caller // of a scenario
	wsClients [wsPairs]*wsPeer
	ups       []*upstream
	outs      map[engine.ConnID]bool // the proxy's connections to upstreams, being made or open
	free      []stretch              // when one of their places was free for long
	freeSince time.Time              // zero: none is
	claims    []claim
	parted    []time.Time     // when clients closed a connection
	idleEnds  int             // idle connections that clients saw closed while draining
	idleEnded map[string]bool // the same, by address
	steered   steered
	stalled   map[netip.AddrPort]time.Time // clients that read nothing, and since when
	signals   int
	revoked   map[string]bool // sessions, of a scenario
	revokedAt time.Time       // who began before is over; zero: nobody

	revokedOne time.Time // of a scenario
	drips      []*dripped
	h2         h2Plan
	h2Taps     map[*sim.Sock]*h2Tap         // by the proxy's end
	h2Peers    map[string]bool              // addresses of HTTP/2 clients
	noticed    map[netip.AddrPort]time.Time // when HTTP/2 clients were sent the notice of a goodbye
	quiet      bool                         // clients begin nothing new
	scratch    []byte
	result     Result
}

// Run plays one history.
func Run(opt Options) Result {
	w := &world{opt: opt, net: sim.New(opt.Seed), result: Result{Seed: opt.Seed},
		down: map[engine.ConnID]int{}, peers: map[engine.ConnID]netip.AddrPort{}, struck: map[netip.AddrPort]bool{}, idleEnded: map[string]bool{}, accepted: map[netip.AddrPort]time.Time{}, outs: map[engine.ConnID]bool{}, carriers: map[*sim.Sock]*carrier{}}
	w.stalled, w.noticed = map[netip.AddrPort]time.Time{}, map[netip.AddrPort]time.Time{}
	w.h2, w.h2Peers, w.h2Taps = planH2(opt), map[string]bool{}, map[*sim.Sock]*h2Tap{}
	w.build()
	if s := opt.Scenario; s != nil {
		s.begin(w)
	} else {
		w.script()
	}
	w.net.Run(maxTime, func() bool {
		w.watch()
		return w.finished
	})
	// What the network still carries arrives; nothing new begins.
	w.quiet = true
	w.net.Run(time.Minute, func() bool { return w.net.Events() > 2*maxEvents })
	w.judge()
	w.result.Events = w.net.Events()
	w.result.Faults = w.net.Count
	w.result.Receipt = w.tracker.Receipt()
	return w.result
}

// since is how long the history has lasted.
func (w *world) since() time.Duration { return w.net.Now().Sub(sim.Epoch) }

func (w *world) trace(format string, args ...any) {
	if w.opt.Trace != nil {
		w.opt.Trace(w.since(), format, args...)
	}
}

func (w *world) violate(format string, args ...any) {
	if len(w.result.Violations) < maxViolations {
		w.result.Violations = append(w.result.Violations, fmt.Sprintf("%v: ", w.since())+fmt.Sprintf(format, args...))
	}
	w.trace("VIOLATION "+format, args...)
}

func (w *world) build() {
	r, m := w.net.Rand, w.opt.Mutant
	if w.opt.Scenario == nil {
		w.net.Tap = w.tap
	}
	w.net.MaxDelay = w.net.Between(200*time.Microsecond, 20*time.Millisecond)
	w.net.Window = []int{512, 4 << 10, 64 << 10}[r.IntN(3)]
	w.notice = w.net.Between(time.Millisecond, time.Second)
	w.spread = w.notice / 2
	w.tracker = drain.New(drain.Config{Now: w.net.Now, AfterFunc: w.net.After, Faults: m.Drain, NoticeAfter: w.notice, NoticeSpread: w.spread})
	cfg := proxy.Config{
		Authenticators: map[string]authz.Authenticator{"api_key": keys{w}},
		Sessions:       revocations{w},
		Seed:           w.opt.Seed + 1, Linger: linger, PeerTimeout: peerTimeout, Faults: m.Proxy, AfterFunc: w.net.After,
		MoveFrom: []int64{-1, 1, 500, 0}[r.IntN(4)], // never, always, sometimes, as shipped
	}
	if (r.IntN(4) == 0 || m.Proxy.ForgetOrphans) && w.opt.Scenario == nil {
		cfg.Faults.Panic = w.panics
	}
	for _, addr := range listenerAddrs {
		ln := proxy.ListenerConfig{Name: addr, HTTP2: w.h2.clients}
		if addr == tcpAddr {
			ln.Protocol = proxy.TCP
		}
		cfg.Listeners = append(cfg.Listeners, ln)
	}
	cfg.HTTP2 = w.h2.limits
	if s := w.opt.Scenario; s != nil && s.configure != nil {
		s.configure(w, &cfg)
	}
	w.core = proxy.NewCore(cfg, w.tracker, func(shard int, v any) { w.driver.Post(shard, v) })
	w.driver = w.net.NewDriver(1+r.IntN(3), func(sh engine.Shard) engine.Handler { return door{w.core.Handler(dialing{sh, w}), w} })
	w.driver.Faults = m.Driver
	w.cfg = lifecycle.Config{
		LameDuckMin: w.net.Between(10*time.Millisecond, 2*time.Second), LameDuckMax: 4 * time.Second,
		LameDuckQuiet: 500 * time.Millisecond, Timeout: 15 * time.Second, Budget: 40 * time.Second,
		Quiet: w.tracker.Quiet, Now: w.net.Now, Health: health.NewRegistry(health.Config{Now: w.net.Now}),
		Faults: m.Lifecycle,
	}
	w.machine = lifecycle.NewMachine(w.cfg)
	w.machine.AddTarget(w.net.Now(), "policy")
	w.machine.AddTarget(w.net.Now(), "keys")
	w.machine.Register("proxy")
	if w.opt.Scenario == nil {
		for _, addr := range upAddrs {
			w.ups = append(w.ups, newUpstream(w, addr))
		}
	}
	w.net.After(0, func() { w.perform(w.machine.Begin(w.net.Now())) })
}
