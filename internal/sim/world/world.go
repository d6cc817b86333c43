package world

import (
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Options of one run. The zero value of each field breaks nothing.
type Options struct {
	Seed   uint64
	Mutant Mutant // the rules that are broken
	Trace  func(at time.Duration, format string, args ...any)
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
	webAddr, tcpAddr = "web", "db"
	// maxTime is how long a run may take in simulated time; far more than the budget
	// of a stop. Whatever still goes on then hangs.
	maxTime = 5 * time.Minute
)

// world is one run.
type world struct {
	opt     Options
	net     *sim.Net
	driver  *sim.Driver
	core    *proxy.Core
	tracker *drain.Tracker
	machine *lifecycle.Machine
	cfg     lifecycle.Config

	lns       []*sim.Listener
	open      int // listeners not closed yet
	ready     bool
	state     lifecycle.State
	enforced  int // version in force; 0: none
	finished  bool
	exited    time.Time
	lastDone  time.Time
	doorShut  time.Time // the first listener stopped accepting
	unready   time.Time
	pendingOK func() // ends the Drain call that runs
	drainSeq  int

	quiet    bool      // clients begin nothing new
	deadline time.Time // of the drain that runs
	cutNow   bool      // a third signal was given
	signals  int
	undone   bool

	enforcedAt     time.Time
	admittedAt     time.Time
	upstreamFaults int // restarts and faulty answers so far: an exchange may fail because of them

	requests []*request
	byID     map[string]*request
	tunnels  []*tunnelClient
	ups      []*upstream
	result   Result
}

// Run plays one history.
func Run(opt Options) Result {
	w := &world{opt: opt, net: sim.New(opt.Seed)}
	w.result = Result{Seed: opt.Seed}
	w.build()
	w.script()
	w.net.Run(maxTime, func() bool {
		w.watch()
		return w.finished
	})
	// What the network still carries arrives; nothing new begins.
	w.quiet = true
	w.net.Run(time.Minute, func() bool { return false })
	w.judge()
	w.result.Events = w.net.Events()
	w.result.Faults = w.net.Count
	w.result.Receipt = w.tracker.Receipt()
	return w.result
}

func (w *world) trace(format string, args ...any) {
	if w.opt.Trace != nil {
		w.opt.Trace(w.net.Now().Sub(sim.Epoch), format, args...)
	}
}

func (w *world) violate(format string, args ...any) {
	w.result.Violations = append(w.result.Violations, fmt.Sprintf("%v: ", w.net.Now().Sub(sim.Epoch))+fmt.Sprintf(format, args...))
	w.trace("VIOLATION "+format, args...)
}

func (w *world) build() {
	w.byID = map[string]*request{}
	r := w.net.Rand
	m := w.opt.Mutant
	w.net.MaxDelay = w.net.Between(200*time.Microsecond, 20*time.Millisecond)
	w.net.Window = []int{512, 4 << 10, 64 << 10}[r.IntN(3)]
	w.tracker = drain.New(drain.Config{Now: w.net.Now, AfterFunc: w.net.After, Faults: m.Drain,
		NoticeAfter: w.net.Between(time.Millisecond, time.Second), IdleClose: 5 * time.Second})
	w.core = proxy.NewCore(proxy.Config{
		Listeners:      []proxy.ListenerConfig{{Name: webAddr}, {Name: tcpAddr, Protocol: proxy.TCP}},
		Authenticators: authenticators(w),
		Seed:           w.opt.Seed + 1, Faults: m.Proxy,
	}, w.tracker, func(shard int, v any) { w.driver.Post(shard, v) })
	w.driver = w.net.NewDriver(1+r.IntN(3), w.core.Handler)
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
	for i := range 2 {
		w.ups = append(w.ups, newUpstream(w, fmt.Sprintf("up:%d", i+1)))
	}
	w.net.After(0, func() { w.perform(w.machine.Begin(w.net.Now())) })
}

// event feeds the machine and carries out what follows.
func (w *world) event(f func(now time.Time)) {
	if w.finished {
		return
	}
	f(w.net.Now())
	w.step()
}

func (w *world) step() {
	if w.finished {
		return
	}
	w.perform(w.machine.Step(w.net.Now()))
}

func (w *world) perform(actions []lifecycle.Action, next time.Time) {
	for _, a := range actions {
		switch a.Kind {
		case lifecycle.Publish:
			w.publish(a)
		case lifecycle.Call:
			w.call(a)
		case lifecycle.Cancel:
			if a.Seq == w.drainSeq {
				w.tracker.Cut(w.net.Now())
				w.stepTracker()
			}
		case lifecycle.Finish:
			w.finish()
			return
		case lifecycle.Beat, lifecycle.Unready:
		}
	}
	if !next.IsZero() {
		w.net.After(next.Sub(w.net.Now()), w.step)
	}
}

func (w *world) publish(a lifecycle.Action) {
	w.trace("%s => %s (%s)", a.From, a.State, a.Reason)
	w.state = a.State
	was := w.ready
	w.ready = a.State == health.ProcessServing
	switch {
	case w.ready && w.enforced == 0:
		w.violate("ready without a policy in force")
	case was && !w.ready:
		w.unready = w.net.Now()
	}
}

// call carries out a call of the one service: the shell of proxy.Server, without sockets.
func (w *world) call(a lifecycle.Action) {
	w.trace("call %s", a.Verb)
	returned := func(err error) {
		w.net.After(w.net.Between(0, time.Millisecond), func() {
			w.event(func(now time.Time) { w.machine.Returned(now, a.Seq, err) })
		})
	}
	switch a.Verb {
	case lifecycle.VerbStart:
		for i, addr := range []string{webAddr, tcpAddr} {
			ln := w.net.Listen(addr)
			w.lns = append(w.lns, ln)
			w.open++
			w.driver.Accept(i, ln)
		}
		returned(nil)
	case lifecycle.VerbAdmit:
		if w.admittedAt.IsZero() {
			w.admittedAt = w.net.Now()
		}
		err := w.tracker.Open()
		w.core.Admitted()
		returned(err)
	case lifecycle.VerbLameDuck:
		w.tracker.BeginLeave(w.net.Now())
		w.stepTracker()
		returned(nil)
	case lifecycle.VerbDrain:
		w.drain(a, returned)
	case lifecycle.VerbClose:
		w.driver.Close()
		returned(nil)
	}
}

// drain is Server.Drain: close the listeners, join, then the tracker.
func (w *world) drain(a lifecycle.Action, returned func(error)) {
	w.drainSeq = a.Seq
	if len(w.lns) == 0 {
		returned(nil)
		return
	}
	if w.doorShut.IsZero() {
		w.doorShut = w.net.Now()
		if w.ready || w.unready.IsZero() && w.state == health.ProcessServing {
			w.violate("invariant 5: a listener closes while ready")
		}
	}
	left := len(w.lns)
	for i, ln := range w.lns {
		w.driver.Unlisten(ln, func(end engine.ListenerEnd) {
			w.open--
			w.tracker.ListenerClosed([]string{webAddr, tcpAddr}[i], end.Proven, end.Reason, end.Residue)
			if left--; left > 0 {
				return
			}
			w.trace("draining until %v: %d open", a.Deadline.Sub(sim.Epoch), len(w.tracker.Snapshot(1000)))
			w.deadline = a.Deadline
			w.tracker.BeginDrain(w.net.Now(), a.Deadline)
			w.core.Shut()
			w.pendingOK = func() { returned(nil) }
			w.stepTracker()
		})
	}
}

// stepTracker drives the tracker's machine and ends the Drain call when it is over.
func (w *world) stepTracker() {
	next, done := w.tracker.Step(w.net.Now())
	if done {
		return // watch ends the call
	}
	if !next.IsZero() && w.tracker.State() != drain.Open {
		w.net.After(max(next.Sub(w.net.Now()), 0), w.stepTracker)
	}
}

// watch runs after every event. It notices quiescence the moment it comes, as the
// shell's channel does, and checks what must hold at every moment.
func (w *world) watch() {
	if ok := w.pendingOK; ok != nil && w.tracker.State() == drain.Drained && w.core.Unadmitted() == 0 {
		w.pendingOK = nil
		w.lastDone = w.net.Now()
		ok()
	}
	if w.tracker.State() == drain.Shut && w.tracker.Stats().Tracked > 0 {
		w.violate("invariant 1: a connection was admitted while shut")
		w.finished = true
	}
}

func (w *world) finish() {
	w.finished = true
	w.exited = w.net.Now()
	w.trace("exit")
	w.driver.Crash() // what the kernel does at exit
	w.result.Receipt = w.tracker.Receipt()
}

// document is policy version n: which routes exist depends on n, so that a request
// can tell under which version it was decided.
func (w *world) document(n int) *policy.Document {
	eps := `["up:1", "up:2"]`
	if n%2 == 0 {
		eps = `["up:1"]`
	}
	doc, err := policy.Parse("p.yaml", []byte(fmt.Sprintf(`
clusters: {app: {endpoints: %s}}
routes:
- {name: public, path: {prefix: /pub}, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}
- {name: keyed, path: {prefix: /key}, cluster: app, authenticate: [api_key], policy: [{allow: {and: [{authenticated_user: true}]}}]}
- {name: denied, path: {prefix: /no}, cluster: app, policy: [{deny: {and: [{accept: true}]}}]}
tcp_routes:
- {listener: db, cluster: app, policy: [{allow: {and: [{source_ip: 10.0.0.0/8}]}}]}
`, eps)))
	if err != nil {
		panic(err)
	}
	return doc
}

// applyPolicy stages version n and enforces it a moment later.
func (w *world) applyPolicy(n int) {
	enforce, err := w.core.Stage(fmt.Sprint(n), w.document(n))
	if err != nil {
		panic(err)
	}
	w.net.After(w.net.Between(0, 50*time.Millisecond), func() {
		enforce()
		if w.enforced == 0 {
			w.enforcedAt = w.net.Now()
		}
		w.enforced = n
		w.trace("policy %d in force", n)
		w.event(func(now time.Time) { w.machine.TargetReady(now, "policy") })
	})
}
