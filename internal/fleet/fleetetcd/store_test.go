package fleetetcd

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/internal/etcd"
	"github.com/sluiceproxy/sluice/internal/etcd/etcdtest"
	"github.com/sluiceproxy/sluice/internal/fleet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for what takes milliseconds on a machine that is not busy.
const patience = 30 * time.Second

func onEtcd(t *testing.T) (fleet.Store, *etcdtest.Cluster) {
	cluster := etcdtest.Start(t, 1)
	client, err := etcd.Open(etcd.Config{Endpoints: cluster.Endpoints(), Prefix: "/edge"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return New(client), cluster
}

// What every store does, in memory and in etcd.
func TestStoresConform(t *testing.T) {
	for name, store := range map[string]func(*testing.T) fleet.Store{
		"memory": func(*testing.T) fleet.Store { return fleet.NewMemory(nil) },
		"etcd":   func(t *testing.T) fleet.Store { s, _ := onEtcd(t); return s },
	} {
		t.Run(name, func(t *testing.T) { conform(t, store(t)) })
	}
}

func conform(t *testing.T, s fleet.Store) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	lease := func() fleet.LeaseID {
		t.Helper()
		l, err := s.Grant(ctx, time.Hour)
		must(err)
		return l
	}
	a, b := lease(), lease()
	hints, err := s.Watch(ctx)
	must(err)
	must(s.Set(ctx, fleet.Replicas, "a", []byte("1"), a))
	must(s.Set(ctx, fleet.Drains, "a", []byte("first"), a))
	must(s.Set(ctx, fleet.Drains, "b", []byte("second"), b))
	must(s.Set(ctx, fleet.Drains, "a", []byte("changed"), a))
	select {
	case <-hints:
	case <-ctx.Done():
		t.Fatal("no hint of a claim")
	}
	v, err := s.Look(ctx)
	must(err)
	byID := map[string]fleet.Entry{}
	for _, e := range v.Entries {
		byID[e.Kind.String()+"/"+e.ID] = e
	}
	if len(v.Entries) != 3 || string(byID["drains/a"].Value) != "changed" || byID["drains/a"].Lease != a {
		t.Fatalf("entries %+v", v.Entries)
	}
	if byID["drains/a"].Created >= byID["drains/b"].Created {
		t.Error("a change of a claim lost its place in the line")
	}
	// Only who has the key removes it.
	must(s.Unset(ctx, fleet.Drains, "a", b))
	if v, err = s.Look(ctx); err != nil || len(v.Entries) != 3 {
		t.Fatalf("removed with the lease of another: %+v, %v", v.Entries, err)
	}
	must(s.Unset(ctx, fleet.Drains, "a", a))
	if v, err = s.Look(ctx); err != nil || len(v.Entries) != 2 {
		t.Fatalf("not removed: %+v, %v", v.Entries, err)
	}
	must(s.Renew(ctx, a))
	// A lease that is over takes its keys with it, and says so.
	short, err := s.Grant(ctx, time.Second)
	must(err)
	must(s.Set(ctx, fleet.Drains, "c", []byte("3"), short))
	for v.Entries = make([]fleet.Entry, 3); len(v.Entries) > 2; {
		if v, err = s.Look(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Renew(ctx, short); !errors.Is(err, fleet.ErrLeaseLost) {
		t.Errorf("renewed a lease that is over: %v", err)
	}
	if err := s.Set(ctx, fleet.Drains, "c", []byte("3"), short); !errors.Is(err, fleet.ErrLeaseLost) {
		t.Errorf("wrote with a lease that is over: %v", err)
	}
}

// While the store is away every call ends with its context, and says so.
func TestAStoreThatIsAway(t *testing.T) {
	s, cluster := onEtcd(t)
	lease, err := s.Grant(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cluster.Down()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := s.Renew(ctx, lease); err == nil || errors.Is(err, fleet.ErrLeaseLost) {
		t.Errorf("renewed at a store that is away: %v", err)
	}
	if _, err := s.Look(ctx); err == nil {
		t.Error("looked at a store that is away")
	}
	watching, stop := context.WithCancel(t.Context())
	hints, err := s.Watch(watching) // does not wait
	if err != nil {
		t.Fatal(err)
	}
	stop()
	for range hints {
	}
}

// Members on etcd: one is away at a time, and the next hears when it is back.
func TestTurnsOnEtcd(t *testing.T) {
	s, _ := onEtcd(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	member := func(id string) *fleet.Member {
		m := fleet.New(fleet.Config{Store: s, ID: id})
		run, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() { defer close(ended); m.Run(run) }() // ends with the test
		t.Cleanup(func() { stop(); <-ended })
		m.Tell(fleet.Facts{State: "serving", Ready: true})
		return m
	}
	a, b := member("a"), member("b")
	if got := a.Turn(ctx, "SIGTERM"); got != fleet.OutcomeGiven {
		t.Fatalf("a: %v", got)
	}
	a.Tell(fleet.Facts{State: "lame_duck", Leaving: true})
	given := make(chan fleet.Outcome, 1)
	go func() { given <- b.Turn(ctx, "SIGTERM") }() // ends when a is back
	for b.Status().Before != 1 {
		select {
		case got := <-given:
			t.Fatalf("b was told %v while a is away", got)
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("b does not wait")
		}
	}
	a.Tell(fleet.Facts{State: "serving", Ready: true})
	if got := <-given; got != fleet.OutcomeGiven {
		t.Errorf("b: %v", got)
	}
}
