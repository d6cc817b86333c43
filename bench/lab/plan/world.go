package plan

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/balance"
	"github.com/sluiceproxy/sluice/bench/lab/origin"
	"github.com/sluiceproxy/sluice/bench/lab/replica"
)

// Config is what a plan plays with.
type Config struct {
	Launcher replica.Launcher
	Settings replica.Settings
	Balancer Balancer
	// Addresses says where the n-th replica of a slot listens; nil: wherever there is room.
	Addresses func(slot string, n int) (web, raw, probe string)
	Origin    *origin.Origin
	Dir       string // for the folders of the replicas
	// InFlight lists what is in flight through a replica now; nil: nobody knows.
	InFlight func(replica string) []string
	// Tell narrates; nil: nobody listens.
	Tell func(format string, args ...any)
	// SyncDelay is how late a policy comes in the plans about that; 0: 2 s.
	SyncDelay time.Duration
	// Patience bounds each step beyond lame duck and drain; 0: 20 s.
	Patience time.Duration
}

// Balancer stands before the replicas: the lab's own, or a real one.
type Balancer interface {
	Add(balance.Backend)
	In(name string) (in bool, changed <-chan struct{})
	Gone(name string)
	Carried(name string) int
}

// Member is a replica, running or gone.
type Member struct {
	Name     string
	Slot     string
	Instance replica.Instance
	Identity replica.Identity
	backend  balance.Backend
}

// Restart is one of them, with its proof.
type Restart struct {
	Replica   string           `json:"replica"` // that was stopped; empty: none was
	Successor string           `json:"successor,omitempty"`
	Began     time.Time        `json:"began"`
	Ended     time.Time        `json:"ended"`
	Before    replica.Identity `json:"before,omitzero"`
	After     replica.Identity `json:"after,omitzero"`
	Proven    bool             `json:"proven"`
	Why       string           `json:"why,omitempty"` // it is not
	// InFlight are the IDs that were in flight through the replica when it was killed.
	InFlight []string  `json:"in_flight,omitempty"`
	KilledAt time.Time `json:"killed_at,omitzero"`
	DeadAt   time.Time `json:"dead_at,omitzero"`
}

// World is the replicas and who stands around them.
type World struct {
	cfg Config

	mu      sync.Mutex // guards what follows
	members []*Member  // ever
	slots   []*Member  // that serve, by slot
	started map[string]int
	port    int // from where the next free one is looked for
}

// New makes a world without replicas.
func New(cfg Config) *World {
	if cfg.Tell == nil {
		cfg.Tell = func(string, ...any) {}
	}
	if cfg.SyncDelay == 0 {
		cfg.SyncDelay = 2 * time.Second
	}
	if cfg.Patience == 0 {
		cfg.Patience = 20 * time.Second
	}
	if cfg.InFlight == nil {
		cfg.InFlight = func(string) []string { return nil }
	}
	// Where it begins to look is random, so that two labs on a machine seldom meet.
	return &World{cfg: cfg, started: map[string]int{}, port: 15_000 + rand.IntN(15_000)}
}

// Members are all replicas that ever were.
func (w *World) Members() []*Member {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*Member(nil), w.members...)
}

// Begin starts n replicas and returns when all get connections.
func (w *World) Begin(ctx context.Context, n int) error {
	slots := make([]*Member, n)
	err := together(n, func(i int) (err error) {
		slots[i], err = w.start(ctx, slotName(i), 0)
		if err == nil {
			err = w.admit(ctx, slots[i])
		}
		return err
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slots = slots
	return err
}

func slotName(i int) string { return string(rune('a' + i%26)) }

// together runs n things at once and gathers their errors.
func together(n int, one func(i int) error) error {
	errs := make([]error, n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { errs[i] = one(i) }) // ends with the thing
	}
	running.Wait()
	return errors.Join(errs...)
}

// start starts the next replica of a slot. It need not be ready when it returns.
func (w *World) start(ctx context.Context, slot string, syncDelay time.Duration) (*Member, error) {
	w.mu.Lock()
	w.started[slot]++
	name := fmt.Sprintf("%s.%d", slot, w.started[slot])
	spec := replica.Spec{Name: name, Dir: filepath.Join(w.cfg.Dir, name), Settings: w.cfg.Settings, SyncDelay: syncDelay}
	err := w.addresses(&spec)
	w.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(spec.Dir, 0o700); err != nil {
		return nil, err
	}
	in, err := w.cfg.Launcher.Start(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m := &Member{Name: name, Slot: slot, Instance: in, backend: balance.Backend{Name: name, Web: spec.Web, Raw: spec.Raw, Ready: in.Ready()}}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.members = append(w.members, m)
	return m, nil
}

// addresses gives a replica its doors. Called with the lock.
func (w *World) addresses(s *replica.Spec) (err error) {
	if w.cfg.Addresses != nil {
		slot, _, _ := strings.Cut(s.Name, ".")
		s.Web, s.Raw, s.Probe = w.cfg.Addresses(slot, w.started[slot])
		return nil
	}
	doors := []*string{&s.Web, &s.Probe}
	if w.cfg.Launcher.Raw() && s.UpstreamRaw != "" {
		doors = append(doors, &s.Raw)
	}
	for _, door := range doors {
		if *door, w.port, err = replica.FreeAddress(w.port); err != nil {
			return err
		}
	}
	return nil
}

// admit waits until a replica is ready, knows who it is, and gets connections.
func (w *World) admit(ctx context.Context, m *Member) error {
	ctx, cancel := context.WithTimeoutCause(ctx, w.cfg.Patience+w.cfg.SyncDelay, fmt.Errorf("%s was not admitted within %v", m.Name, w.cfg.Patience+w.cfg.SyncDelay))
	defer cancel()
	w.cfg.Balancer.Add(m.backend)
	if err := replica.AwaitReady(ctx, m.Instance); err != nil {
		return fmt.Errorf("%s: %w", m.Name, err)
	}
	var err error
	if m.Identity, err = m.Instance.Identity(ctx); err != nil {
		return fmt.Errorf("%s: %w", m.Name, err)
	}
	for {
		in, changed := w.cfg.Balancer.In(m.Name)
		if in {
			w.cfg.Tell("%s is in: %s", m.Name, m.Identity)
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// stop ends a replica in good order.
func (w *World) stop(ctx context.Context, m *Member) error {
	limit := 2*w.cfg.Settings.LameDuck + w.cfg.Settings.Drain + w.cfg.Patience
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s was not gone within %v", m.Name, limit))
	defer cancel()
	w.cfg.Tell("%s is told to stop", m.Name)
	if err := m.Instance.Stop(ctx); err != nil {
		return fmt.Errorf("%s: %w; its log ends: %s", m.Name, err, m.Instance.Tail())
	}
	w.cfg.Balancer.Gone(m.Name)
	w.cfg.Tell("%s is gone", m.Name)
	return nil
}

// Close ends every replica at once.
func (w *World) Close() {
	for _, m := range w.Members() {
		_ = m.Instance.Kill()
	}
}

// serving are the replicas of the slots.
func (w *World) serving() []*Member {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*Member(nil), w.slots...)
}

func (w *World) put(i int, m *Member) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.slots) <= i {
		w.slots = append(w.slots, nil)
	}
	w.slots[i] = m
}
