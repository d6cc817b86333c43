package peers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/replica"
)

// kind is what differs between peers. How a peer is told to go is one of two: it has a delay
// of its own between its signal and its closing (delays), or the readiness is turned by a
// file and the signal comes after the lame duck, as a preStop hook does it.
type kind struct {
	version []string // arguments that print it; nil: it is built in
	raw     bool     // it carries raw TCP
	file    string   // name of its configuration
	config  func(s replica.Spec) string
	args    func(s replica.Spec, file string) []string
	delays  bool
	stop    syscall.Signal
	tell    func(ctx context.Context, s replica.Spec) error // before the lame duck; nil: nothing
	finish  func(ctx context.Context, in *instance) error   // instead of the signal; nil: the signal
	extra   map[string]func(s replica.Spec) string          // more files, by name
	ready   string                                          // path at the probe address
	upgrade func(ctx context.Context, in *instance) error   // nil: there is no such thing
	forks   bool                                            // with Settings.Upgrades it goes to the background
	pid     func(in *instance) (int, error)                 // of who serves; nil: the process that was started
}

// instance is one replica of a peer.
type instance struct {
	launcher
	spec     replica.Spec
	p        *replica.Process
	timeline replica.Timeline
	lines    sync.Mutex // guards pids
	pids     []int      // processes that are not our children, and must be gone in the end
}

func (in *instance) file(name string) string { return filepath.Join(in.spec.Dir, name) }

// Start writes the configuration and starts the process.
func (l launcher) Start(ctx context.Context, s replica.Spec) (replica.Instance, error) {
	program, err := l.program()
	if err != nil {
		return nil, err
	}
	if !l.raw {
		s.Raw = ""
	}
	in := &instance{launcher: l, spec: s}
	if l.file != "" {
		if err := os.WriteFile(in.file(l.file), []byte(l.config(s)), 0o600); err != nil {
			return nil, err
		}
	}
	for name, text := range l.extra {
		if err := os.WriteFile(in.file(name), []byte(text(s)), 0o600); err != nil {
			return nil, err
		}
	}
	in.timeline.Enter(replica.Starting, time.Now())
	env := []string{"HOME=" + s.Dir, "XDG_DATA_HOME=" + s.Dir, "XDG_CONFIG_HOME=" + s.Dir}
	if in.p, err = replica.Launch(s.Dir, env, nil, program, l.args(s, in.file(l.file))...); err != nil {
		return nil, err
	}
	if l.forks && s.Upgrades {
		if err := in.background(ctx); err != nil {
			return nil, fmt.Errorf("%w: %s", err, in.Tail())
		}
	}
	return in, nil
}

// background waits until a program has gone to the background, and notes who it is.
func (in *instance) background(ctx context.Context) error {
	if err := in.p.Wait(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if pid, err := in.pid(in); err == nil {
			in.note(pid)
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s left no pid: %w", in.name, ctx.Err())
		}
	}
}

func (in *instance) note(pid int) {
	in.lines.Lock()
	defer in.lines.Unlock()
	in.pids = append(in.pids, pid)
}

func (in *instance) Ready() string               { return "http://" + in.spec.Probe + in.ready }
func (in *instance) Timeline() *replica.Timeline { return &in.timeline }

// Ended says that the process that signals go to has ended.
func (in *instance) Ended() bool { return !replica.Alive(in.main()) }

// Tail is the end of its log.
func (in *instance) Tail() string {
	if text, err := os.ReadFile(in.file("error.log")); err == nil {
		return in.p.Tail() + string(text[max(0, len(text)-2000):])
	}
	return in.p.Tail()
}

// Identity is the process that serves.
func (in *instance) Identity(context.Context) (replica.Identity, error) {
	if in.pid == nil || !in.spec.Upgrades {
		return replica.Identity{PID: in.p.PID(), Started: in.p.Started}, nil
	}
	pid, err := in.pid(in)
	return replica.Identity{PID: pid}, err
}

// main is the process that signals go to.
func (in *instance) main() int {
	if in.forks && in.spec.Upgrades {
		if pid, err := in.pid(in); err == nil {
			return pid
		}
	}
	return in.p.PID()
}

// Stop tells it to go and waits until it is gone.
func (in *instance) Stop(ctx context.Context) error {
	pid := in.main()
	in.timeline.Enter(replica.LameDuck, time.Now())
	if in.tell != nil {
		if err := in.tell(ctx, in.spec); err != nil {
			return err
		}
	}
	signal := func() error {
		if in.finish != nil {
			return in.finish(ctx, in)
		}
		return syscall.Kill(pid, in.stop)
	}
	if in.delays {
		if err := signal(); err != nil {
			return fmt.Errorf("%s: %w", in.name, err)
		}
	}
	select {
	case <-time.After(in.spec.LameDuck): // the lame duck, which is a time and not a condition
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	in.timeline.Enter(replica.Draining, time.Now())
	if !in.delays {
		if err := signal(); err != nil {
			return fmt.Errorf("%s: %w", in.name, err)
		}
	}
	if err := in.await(ctx, pid); err != nil {
		return fmt.Errorf("%s: %w", in.name, err)
	}
	in.timeline.Enter(replica.Gone, time.Now())
	in.p.Release()
	return nil
}

func (in *instance) await(ctx context.Context, pid int) error {
	if pid == in.p.PID() {
		return in.p.Wait(ctx)
	}
	return replica.AwaitGone(ctx, pid)
}

// Upgrade replaces the process in place.
func (in *instance) Upgrade(ctx context.Context) error {
	if in.upgrade == nil {
		return fmt.Errorf("%s: %w", in.name, replica.ErrCannot)
	}
	return in.upgrade(ctx, in)
}

// Kill ends every process of it at once.
func (in *instance) Kill() error {
	now := time.Now()
	in.lines.Lock()
	pids := append([]int(nil), in.pids...)
	in.lines.Unlock()
	for _, pid := range pids {
		if replica.Alive(pid) && !replica.End(pid, syscall.SIGTERM, 2*time.Second) {
			replica.End(pid, syscall.SIGKILL, 2*time.Second)
		}
	}
	in.p.Kill()
	in.timeline.Enter(replica.Gone, now)
	return nil
}
