package lab

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/balance"
	"github.com/sluiceproxy/sluice/bench/lab/front"
	"github.com/sluiceproxy/sluice/bench/lab/load"
	"github.com/sluiceproxy/sluice/bench/lab/origin"
	"github.com/sluiceproxy/sluice/bench/lab/plan"
	"github.com/sluiceproxy/sluice/bench/lab/record"
	"github.com/sluiceproxy/sluice/bench/lab/replica"
	"github.com/sluiceproxy/sluice/bench/lab/report"
)

// stage is everything that runs during a run.
type stage struct {
	cfg      Config
	dir      string
	origin   *origin.Origin
	balancer *balance.Balancer // nil: a front, or nobody
	front    *front.Front      // nil: there is none
	web, raw string            // doors of the balancer
	world    actor

	recorder  atomic.Pointer[record.Recorder] // nil until the load begins
	generator *load.Generator
	running   sync.WaitGroup // the load, and who looks
	stopLoad  context.CancelFunc
	loadDone  chan struct{} // closed when the load has ended

	mu      sync.Mutex // guards changes
	changes []balance.Change

	restarts []plan.Restart
	failed   error
	ended    time.Time
}

// actor is who restarts.
type actor interface {
	Begin(ctx context.Context, n int) error
	Play(ctx context.Context, k plan.Kind) ([]plan.Restart, error)
	Members() []*plan.Member
	Close()
}

func newStage(ctx context.Context, cfg Config) (s *stage, err error) {
	s = &stage{cfg: cfg, dir: cfg.Dir}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "sluice-lab-"); err != nil {
			return s, err
		}
	}
	if cfg.Attach != nil {
		return s, s.attach()
	}
	if s.origin, err = origin.Start(origin.Config{Web: "127.0.0.1:0", Raw: "127.0.0.1:0"}); err != nil {
		return s, err
	}
	world := plan.Config{Launcher: cfg.Launcher, Origin: s.origin, Dir: s.dir, InFlight: s.inFlight, Tell: cfg.Tell,
		Settings: replica.Settings{UpstreamWeb: s.origin.Web(), UpstreamRaw: s.origin.Raw(), LameDuck: cfg.LameDuck, Drain: cfg.Drain,
			Upgrades: cfg.Plan == plan.Upgrade, Hold: cfg.Front == "nginx" || cfg.Blind}}
	if cfg.Front != "" {
		if s.front, err = front.Start(ctx, front.Config{Kind: cfg.Front, Dir: filepath.Join(s.dir, "front"), Slots: cfg.Replicas, Ready: "/readyz", Poll: cfg.Poll}); err != nil {
			return s, err
		}
		s.web, s.raw, world.Balancer, world.Addresses = s.front.Web(), s.front.Raw(), s.front, s.front.Addresses
	} else {
		if err = s.balance(cfg.Launcher.Raw()); err != nil {
			return s, err
		}
		world.Balancer = s.balancer
	}
	s.world = plan.New(world)
	return s, nil
}

// balance puts the lab's balancer before the replicas.
func (s *stage) balance(raw bool) (err error) {
	s.balancer = balance.New(balance.Config{Poll: s.cfg.Poll, Propagation: max(s.cfg.Propagation, 0), Blind: s.cfg.Blind, Observe: s.observe, Fault: s.fault})
	if s.web, err = s.balancer.Open("127.0.0.1:0", balance.Web); err != nil || !raw {
		return err
	}
	s.raw, err = s.balancer.Open("127.0.0.1:0", balance.Raw)
	return err
}

// attach stands around a fleet that somebody else runs.
func (s *stage) attach() (err error) {
	a := s.cfg.Attach
	if err := a.Validate(); err != nil {
		return err
	}
	if a.UpstreamWeb != "" {
		if s.origin, err = origin.Start(origin.Config{Web: a.UpstreamWeb, Raw: a.UpstreamRaw}); err != nil {
			return err
		}
	}
	s.web, s.raw = a.Targets[0].Web, a.Targets[0].Raw
	actor := &attached{cfg: a, tell: s.cfg.Tell}
	if a.Balanced() {
		if err := s.balance(a.Targets[0].Raw != ""); err != nil {
			return err
		}
		actor.balancer = s.balancer
	}
	s.world = actor
	return nil
}

func (s *stage) observe(c balance.Change) {
	if a, ok := s.world.(*attached); ok {
		a.observe(c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes = append(s.changes, c)
}

// fault is one of the balancer itself.
func (s *stage) fault(err error) {
	if r := s.recorder.Load(); r != nil {
		r.Broken("the balancer: " + err.Error())
	}
}

// inFlight lists what is under way through a replica.
func (s *stage) inFlight(name string) []string {
	rec := s.recorder.Load()
	if rec == nil || s.balancer == nil {
		return nil
	}
	return rec.InFlight(func(local string) bool {
		r, ok := s.balancer.Route(local)
		return ok && r.Backend == name
	})
}

// refine knows what the balancer knows: where a connection went, and that a reset was its way
// to say that nobody was there.
func (s *stage) refine(e record.Exchange, c record.Cause) (record.Cause, string) {
	if s.balancer == nil {
		return c, ""
	}
	r, ok := s.balancer.Route(e.Conn.Local)
	switch {
	case !ok || c != record.ResetBefore && c != record.ClosedBefore:
	case r.Backend == "":
		return record.NoReplica, ""
	case r.Err != nil:
		return record.Refused, r.Backend
	}
	return c, r.Backend
}

// begin starts the load.
func (s *stage) begin(ctx context.Context) {
	rec := record.New(time.Now())
	rec.Refine = s.refine
	s.recorder.Store(rec)
	path := ""
	if s.origin == nil {
		path = s.cfg.Attach.Path
	}
	s.generator = load.New(load.Config{Web: s.web, Raw: s.raw, Path: path, Profiles: load.Mix(s.cfg.Rate, s.cfg.Long, s.cfg.Classes), Seed: s.cfg.Seed, Record: rec})
	ctx, s.stopLoad = context.WithCancel(ctx)
	s.loadDone = make(chan struct{})
	s.running.Go(func() { // ends with stopLoad, and what is under way
		defer close(s.loadDone)
		s.generator.Run(ctx)
	})
	s.running.Go(s.look) // ends with the load
}

// look notes what is open, and shows how things stand.
func (s *stage) look() {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		s.recorder.Load().Open(s.generator.Open())
		if s.cfg.Look != nil {
			s.cfg.Look(s.view())
		}
		select {
		case <-tick.C:
		case <-s.loadDone:
			return
		}
	}
}

// end stops the load and waits for what is under way.
func (s *stage) end() {
	s.stopLoad()
	s.running.Wait()
	s.ended = time.Now()
}

func (s *stage) input() report.Input {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := report.Input{Summary: s.recorder.Load().Sum(), Restarts: s.restarts, Members: s.world.Members(), Changes: s.changes, Ended: s.ended, MaxLag: s.cfg.MaxLag}
	if s.origin != nil {
		in.Executed, in.Twice = s.origin.Executed, s.origin.Twice()
	}
	return in
}

// close ends everything.
func (s *stage) close() {
	if s.world != nil {
		s.world.Close()
	}
	if s.balancer != nil {
		s.balancer.Close()
	}
	if s.front != nil {
		s.front.Close()
	}
	if s.origin != nil {
		s.origin.Close()
	}
	if !s.cfg.Keep && s.dir != "" && s.cfg.Dir == "" {
		_ = os.RemoveAll(s.dir)
	}
}
