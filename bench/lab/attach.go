package lab

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/balance"
	"github.com/sluiceproxy/sluice/bench/lab/plan"
	"github.com/sluiceproxy/sluice/bench/lab/replica"
)

// Attach is a fleet that somebody else runs: the lab loads it, and a command restarts it.
type Attach struct {
	Name    string // of the proxy, for the report; empty: attached
	Targets []balance.Backend
	// Restart is a shell command. With {name}, {web} or {raw} in it, it is run for one target after
	// the other, otherwise once; it returns when the restart is over.
	Restart string
	// Identity is a shell command that prints who serves now; the same placeholders. Without
	// it nothing is proven.
	Identity string
	// Where the lab's upstream listens, for the fleet to forward to; empty: the fleet has an
	// upstream of its own, and is asked for Path only.
	UpstreamWeb, UpstreamRaw string
	Path                     string
}

// Balanced says that the lab's balancer stands before the targets: where there are several,
// or one says when it is ready. Otherwise clients go straight to the one door.
func (a *Attach) Balanced() bool { return len(a.Targets) > 1 || a.Targets[0].Ready != "" }

// Validate says what is missing.
func (a *Attach) Validate() error {
	switch {
	case len(a.Targets) == 0:
		return errors.New("no targets")
	case a.Restart == "":
		return errors.New("targets need a command that restarts them")
	case a.UpstreamWeb == "" && a.Path == "":
		return errors.New("say where the lab's upstream shall listen, or which path to ask for")
	}
	for _, t := range a.Targets {
		if t.Web == "" {
			return fmt.Errorf("target %q has no web address", t.Name)
		}
		if len(a.Targets) > 1 && t.Ready == "" {
			return fmt.Errorf("target %q does not say where its readiness is, and there are several", t.Name)
		}
	}
	return nil
}

// attached plays the one plan of an Attach.
type attached struct {
	cfg      *Attach
	balancer *balance.Balancer // nil: there is none
	tell     func(string, ...any)

	mu      sync.Mutex // guards members
	members []*plan.Member
}

// Begin waits until every target gets connections.
func (a *attached) Begin(ctx context.Context, _ int) error {
	if a.balancer == nil {
		return nil
	}
	for _, t := range a.cfg.Targets {
		in := &foreign{ready: t.Ready}
		in.timeline.Enter(replica.Starting, time.Now())
		a.mu.Lock()
		a.members = append(a.members, &plan.Member{Name: t.Name, Slot: t.Name, Instance: in})
		a.mu.Unlock()
		a.balancer.Add(t)
	}
	for _, t := range a.cfg.Targets {
		if err := a.awaitIn(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// awaitIn waits until a target gets connections.
func (a *attached) awaitIn(ctx context.Context, t balance.Backend) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		in, changed := a.balancer.In(t.Name)
		if in {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready at %s", t.Name, t.Ready)
		}
	}
}

// observe keeps the lives of the targets, as far as the balancer sees them.
func (a *attached) observe(c balance.Change) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range a.members {
		if m.Name == c.Backend {
			phase := replica.LameDuck
			if c.In {
				phase = replica.Ready
			}
			m.Instance.Timeline().Enter(phase, c.At)
		}
	}
}

// Play runs the command, for each target or once.
func (a *attached) Play(ctx context.Context, _ plan.Kind) (all []plan.Restart, err error) {
	each := []balance.Backend{{Name: "all"}}
	inTurns := fill(a.cfg.Restart, balance.Backend{}) != a.cfg.Restart
	if inTurns {
		each = a.cfg.Targets
	}
	for _, t := range each {
		r, err := a.restart(ctx, t)
		if err == nil && a.balancer != nil && inTurns {
			err = a.awaitIn(ctx, t) // before the next one goes
		}
		r.Ended = time.Now()
		all = append(all, r)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func (a *attached) restart(ctx context.Context, t balance.Backend) (r plan.Restart, err error) {
	r = plan.Restart{Replica: t.Name, Successor: t.Name, Began: time.Now()}
	if r.Before, err = a.identity(ctx, t); err != nil {
		return r, err
	}
	a.tell("%s is restarted", t.Name)
	if _, err := shell(ctx, fill(a.cfg.Restart, t)); err != nil {
		return r, err
	}
	if r.After, err = a.identity(ctx, t); err != nil {
		return r, err
	}
	switch {
	case a.cfg.Identity == "":
		r.Why = "there is no command that says who serves"
	case r.Before.Same(r.After):
		r.Why = fmt.Sprintf("before and after it is %q", r.Before.Said)
	default:
		r.Proven = true
	}
	a.tell("%s was %q and is %q", t.Name, r.Before.Said, r.After.Said)
	return r, nil
}

func (a *attached) identity(ctx context.Context, t balance.Backend) (replica.Identity, error) {
	if a.cfg.Identity == "" {
		return replica.Identity{}, nil
	}
	said, err := shell(ctx, fill(a.cfg.Identity, t))
	return replica.Identity{Said: said}, err
}

// fill puts a target into a command.
func fill(command string, t balance.Backend) string {
	return strings.NewReplacer("{name}", t.Name, "{web}", t.Web, "{raw}", t.Raw).Replace(command)
}

func shell(ctx context.Context, command string) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %.500s", command, err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// Members are the targets behind the balancer.
func (a *attached) Members() []*plan.Member {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*plan.Member(nil), a.members...)
}

// Close leaves the fleet alone.
func (a *attached) Close() {}

// foreign is a replica that somebody else runs.
type foreign struct {
	ready    string
	timeline replica.Timeline
}

func (f *foreign) Ready() string               { return f.ready }
func (f *foreign) Timeline() *replica.Timeline { return &f.timeline }
func (f *foreign) Tail() string                { return "" }
func (f *foreign) Ended() bool                 { return false }
func (f *foreign) Kill() error                 { return replica.ErrCannot }

// Identity is nobody's: the user's command says it.
func (f *foreign) Identity(context.Context) (replica.Identity, error) {
	return replica.Identity{}, replica.ErrCannot
}

// Stop and Upgrade are the user's command's.
func (f *foreign) Stop(context.Context) error    { return replica.ErrCannot }
func (f *foreign) Upgrade(context.Context) error { return replica.ErrCannot }
