package line

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/lifecycle/handover"
	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Times of every process.
const (
	readyWithin = 3 * time.Second
	trial       = time.Second
	stopWithin  = 8 * time.Second
	reportEvery = 200 * time.Millisecond
	silence     = 600 * time.Millisecond
)

var upgradeTimes = handover.Times{Ready: readyWithin, TakeBack: trial, Stop: stopWithin, Silence: silence}

// fate is what becomes of a process. The zero value is a long life.
type fate struct {
	crashLate bool          // it dies with the report that ends its trial
	crashAt   time.Duration // after its start; 0: never
	mute      bool          // it starts, and never says anything
	stopAfter time.Duration // it gets SIGTERM so long after it was permitted; 0: never
	unsynced  bool          // its policy never comes
	older     bool          // it has the first version in force, whatever was published
	failAfter time.Duration // a service of it breaks so long after it took over; 0: never
	hangAfter time.Duration // it stops to do anything so long after it admitted; 0: never
}

// process is one generation.
type process struct {
	l     *line
	gen   int
	fate  fate
	pred  *process // who started it; nil: nobody
	succ  *process // the latest that it started; nil: none
	alive bool

	lastWord time.Time // when its trial is over, and a report ends it
	hungAt   time.Time // it does nothing any more; zero: it does
	state    lifecycle.State
	version  int // of the policy in force; 0: none

	core    *proxy.Core
	driver  *sim.Driver
	tracker *drain.Tracker
	machine *lifecycle.Machine
	up      *handover.Machine

	door      [len(doors)]*sim.Holder // the driver's descriptors
	dup       [len(doors)]*sim.Holder // duplicates; nil: let go of
	accepting [len(doors)]bool
	gate      bool // it answers probes
	served    bool // it was admitted once

	asked                      bool // an operator asked for a drain, and has not undone it
	unwanted                   bool // the predecessor was asked to drain while this one started
	taken                      bool // a successor has the sockets, or may have
	permitted, switched, alone bool // what the predecessor said
	kept                       bool
	returned                   func()
	drainSeq                   int
}

// document is the policy; its versions differ by name only.
var document = sync.OnceValue(func() *policy.Document {
	doc, err := policy.Parse("p.yaml", fmt.Appendf(nil, `
clusters: {app: {endpoints: [%q]}}
routes: [{name: r, path: {prefix: /}, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}]
tcp_routes: [{listener: raw, cluster: app, policy: [{allow: {and: [{source_ip: 10.0.0.0/8}]}}]}]
`, upAddr))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return doc
})

// start starts a process; pred is nil for the first one.
func (l *line) start(pred *process, f fate) *process {
	n := l.net
	p := &process{l: l, gen: len(l.all) + 1, pred: pred, fate: f, alive: true}
	l.all = append(l.all, p)
	p.tracker = drain.New(drain.Config{Now: n.Now, AfterFunc: n.After, IdleClose: 500 * time.Millisecond})
	cfg := proxy.Config{Seed: l.opt.Seed + uint64(p.gen), Linger: time.Second, AfterFunc: n.After}
	cfg.Listeners = []proxy.ListenerConfig{{Name: webAddr, HTTP2: l.speaksH2()}, {Name: rawAddr, Protocol: proxy.TCP}}
	p.core = proxy.NewCore(cfg, p.tracker, func(shard int, v any) { p.driver.Post(shard, v) })
	p.driver = n.NewDriver(1+n.Rand.IntN(2), func(sh engine.Shard) engine.Handler { return owned{p.core.Handler(sh), p} })
	p.machine = lifecycle.NewMachine(lifecycle.Config{
		LameDuckMin: 200 * time.Millisecond, LameDuckMax: 500 * time.Millisecond, LameDuckQuiet: 100 * time.Millisecond,
		Timeout: 4 * time.Second, Budget: stopWithin, Interactive: true, Now: n.Now, Health: health.NewRegistry(health.Config{Now: n.Now}),
	})
	p.up = handover.NewMachine(upgradeTimes)
	p.up.Faults = l.opt.Mutant.Upgrade
	p.machine.AddTarget(n.Now(), "policy")
	if pred != nil {
		p.machine.AddTarget(n.Now(), "upgrade")
		for i := range doors { // what the kernel does at fork
			p.dup[i] = pred.dup[i].Dup()
		}
	} else {
		p.permitted, p.switched, p.alone = true, true, true
	}
	p.machine.Register("proxy")
	if f.crashAt > 0 {
		n.After(f.crashAt, func() { p.crash("by its fate") })
	}
	l.trace("generation %d starts, fate %+v", p.gen, f)
	if f.mute {
		return p
	}
	n.After(n.Between(0, 20*time.Millisecond), func() {
		if p.runs() {
			p.perform(p.machine.Begin(n.Now()))
		}
	})
	if !f.unsynced {
		n.After(n.Between(0, 300*time.Millisecond), p.sync)
	}
	if pred != nil {
		p.report()
	}
	return p
}

// owned notes whose connections are whose.
type owned struct {
	engine.Handler
	p *process
}

// Accepted implements engine.Handler.
func (o owned) Accepted(id engine.ConnID, listener int, peer engine.Peer) {
	o.p.l.owner[peer.Remote] = o.p
	if o.p.tracker.State() == drain.Draining {
		o.p.l.violate("invariant 2: generation %d accepted after draining began", o.p.gen)
	}
	o.Handler.Accepted(id, listener, peer)
}

// sync puts the newest version in force, and looks again after a while.
func (p *process) sync() {
	if !p.runs() {
		return
	}
	v := p.l.last
	if p.fate.older {
		v = 1
	}
	if v != p.version {
		if err := p.core.Apply(context.Background(), strconv.Itoa(v), document()); err != nil {
			p.l.violate("policy %d: %v", v, err)
		}
		p.version = v
		p.event(func(now time.Time) { p.machine.TargetReady(now, "policy") })
	}
	p.l.net.After(p.l.net.Between(100*time.Millisecond, 600*time.Millisecond), p.sync)
}

// policyVersion is the version as processes compare it. Later ones are published later.
func (p *process) policyVersion() handover.Version {
	if p.version == 0 {
		return handover.Version{Source: "dir"}
	}
	return handover.Version{Source: "dir", Hash: strconv.Itoa(p.version), Published: sim.Epoch.Add(time.Duration(p.version) * time.Hour)}
}

// shared reports whether somebody else may hold the sockets, as far as this process knows.
func (p *process) shared() bool { return !p.alone || p.taken }

// runs reports whether it does anything.
func (p *process) runs() bool { return p.alive && p.hungAt.IsZero() }

// hang is SIGSTOP: everything that it holds stays, and it takes nothing from any queue.
func (p *process) hang() {
	if !p.runs() || p.alone || p.state != lifecycle.Serving {
		return
	}
	p.l.trace("generation %d hangs", p.gen)
	p.l.net.Count["successor hangs on trial"]++
	p.hungAt = p.l.net.Now()
	p.driver.Freeze()
	for i := range doors {
		if p.accepting[i] {
			p.door[i].Leave()
		}
	}
	p.l.bereft()
}

// crash is SIGKILL: the kernel closes everything.
func (p *process) crash(why string) {
	if !p.alive {
		return
	}
	p.l.trace("generation %d is killed (%s)", p.gen, why)
	p.l.net.Count["killed"]++
	p.driver.Crash()
	p.alive = false
	p.l.bereft()
	p.end("signal: killed", false)
}

// end is what others notice of the end of a process.
func (p *process) end(how string, orderly bool) {
	p.alive, p.gate = false, false
	for i := range doors {
		for _, h := range []*sim.Holder{p.door[i], p.dup[i]} {
			if h == nil || h.Close() == 0 {
				continue
			}
			if p.l.downAt.IsZero() || orderly {
				p.l.violate("generation %d was the last to hold %s, and left a queue", p.gen, doors[i])
			}
		}
	}
	if s := p.succ; s != nil && s.alive { // the link ends
		p.l.net.After(p.l.net.Between(0, time.Millisecond), func() { s.heard('P'); s.heard('S'); s.heard('C') })
	}
	if q := p.pred; q != nil && q.alive && q.succ == p {
		p.l.net.After(p.l.net.Between(0, 25*time.Millisecond), func() {
			q.upgrade(func(time.Time) {
				if q.up.Stage() != handover.Trial && q.up.Stage() != handover.Confirmed {
					q.taken = false
				}
				q.up.Exited(how)
			})
		})
	}
}
