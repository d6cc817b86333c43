package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/lifecycle/handover"
)

// elder is a generation that drains, as its successors reach it.
type elder struct {
	control *Control
	tracker *drain.Tracker
	cut     chan struct{} // closed by Cut
}

func newElder(t *testing.T, generation int) *elder {
	t.Helper()
	e := &elder{tracker: drain.New(drain.Config{}), cut: make(chan struct{})}
	s, err := NewServer(Config{Hooks: Hooks{
		Generation: generation,
		Lifecycle: func() lifecycle.Status {
			return lifecycle.Status{State: lifecycle.Draining, Until: time.Now().Add(time.Minute)}
		},
		Tracker: e.tracker.Stats,
		Receipt: func() (drain.Receipt, bool) { return e.tracker.Receipt(), true },
		Cut:     func() { close(e.cut) },
		Undo:    func() error { return lifecycle.ErrHandedOver },
		Final: func(ctx context.Context) (drain.Receipt, bool) {
			select {
			case <-e.tracker.Drained():
				return e.tracker.Receipt(), true
			case <-ctx.Done():
				return drain.Receipt{}, false
			}
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	e.control = NewControl(s)
	if err := e.control.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.control.Close() })
	if e.control.web.done == nil {
		t.Skip("no abstract sockets here")
	}
	if err := e.tracker.Open(); err != nil {
		t.Fatal(err)
	}
	return e
}

// Nobody but successors is let in, however he asks.
func TestControlIsForSuccessors(t *testing.T) {
	e := newElder(t, 1)
	good := e.control.Member()
	if good.Generation != 1 || good.PID == 0 || len(good.Secret) < 20 {
		t.Errorf("member %+v", good)
	}
	bad := good
	for _, secret := range []string{"", "x", strings.ToLower(good.Secret), good.Secret + "x"} {
		bad.Secret = secret
		for _, path := range []string{"/drain", "/final", "/status", "/"} {
			g := NewGenerations([]handover.Member{bad}, nil, nil)
			if err := g.members[0].get(t.Context(), path, nil); err == nil || !strings.Contains(err.Error(), "401") {
				t.Errorf("%s with %q: %v", path, secret, err)
			}
		}
	}
	g := NewGenerations([]handover.Member{good}, nil, nil)
	var p Progress
	if err := g.members[0].get(t.Context(), "/drain", &p); err != nil || p.State != lifecycle.Draining {
		t.Errorf("with the secret: %v %v", p.State, err)
	}
}

// A generation is watched to its end; what it leaves is its account. One that dies without
// one is gone.
func TestGenerationsToTheEnd(t *testing.T) {
	one, two := newElder(t, 1), newElder(t, 2)
	left := make(chan int, 2)
	g := NewGenerations([]handover.Member{one.control.Member(), two.control.Member()}, func(n int) { left <- n }, nil)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	c, err := one.tracker.Track(drain.Meta{Listener: "web"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Tunnel()
	list := g.List(t.Context())
	if len(list) != 2 || list[0].State != generationDraining || list[0].Drain.Remaining.Tunnel != 1 || list[0].Error != "" {
		t.Fatalf("%+v", list)
	}
	now := time.Now()
	one.tracker.BeginDrain(now, now.Add(time.Minute))
	c.Done(drain.ClientClosed)
	if n := <-left; n != 1 {
		t.Errorf("%d left", n)
	}
	list = g.List(t.Context())
	if list[0].State != generationDrained || list[0].Receipt == nil || list[0].Receipt.Outcomes.ClientClosed != 1 || list[0].Drain.Remaining.Total() != 0 {
		t.Errorf("%+v", list[0])
	}
	two.control.Close()
	if n := <-left; n != 0 {
		t.Errorf("%d left", n)
	}
	if list = g.List(t.Context()); list[1].State != generationGone || list[1].Error == "" {
		t.Errorf("%+v", list[1])
	}
}

func TestEvictTheOldest(t *testing.T) {
	elders := []*elder{newElder(t, 1), newElder(t, 2), newElder(t, 3)}
	var members []handover.Member
	for _, e := range elders {
		members = append(members, e.control.Member())
	}
	NewGenerations(members, nil, nil).Evict(t.Context(), 2)
	for i, e := range elders {
		cut := false
		select {
		case <-e.cut:
			cut = true
		default:
		}
		if cut != (i == 0) {
			t.Errorf("generation %d: cut %v", i+1, cut)
		}
	}
}

// The private server passes on what is for another generation, and only for who may ask it.
func TestGenerationsThroughTheServer(t *testing.T) {
	e := newElder(t, 2)
	g := NewGenerations([]handover.Member{e.control.Member()}, nil, nil)
	s, err := NewServer(Config{Hooks: Hooks{Generation: 3, Generations: g,
		Upgrade:  func() error { return handover.ErrBusy },
		Upgraded: func() handover.Progress { return handover.Progress{Generation: 4, Result: handover.Underway} },
	}, Address: "unix:" + t.TempDir() + "/s"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	client := func(generation int) *Client {
		c, err := NewClient(ClientConfig{Address: s.Addr().String(), Generation: generation})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if p, err := client(2).Progress(t.Context()); err != nil || p.State != lifecycle.Draining {
		t.Errorf("generation 2: %v %v", p.State, err)
	}
	if _, err := client(2).Drain(t.Context(), ActionCut, false); err != nil {
		t.Errorf("cut: %v", err)
	}
	<-e.cut
	for _, no := range []struct {
		err  error
		code int
	}{
		{func() error { _, err := client(2).Drain(t.Context(), ActionUndo, false); return err }(), http.StatusConflict},
		{func() error { _, err := client(9).Progress(t.Context()); return err }(), http.StatusNotFound},
		{func() error { _, err := client(0).Upgrade(t.Context()); return err }(), http.StatusConflict},
	} {
		var refused *RefusedError
		if !errors.As(no.err, &refused) || refused.Code != no.code {
			t.Errorf("%v, want %d", no.err, no.code)
		}
	}
	if p, err := client(0).Upgraded(t.Context()); err != nil || p.Generation != 4 || p.Result != handover.Underway {
		t.Errorf("%+v %v", p, err)
	}
	list, err := client(0).Generations(t.Context())
	if err != nil || len(list) != 2 || list[0].Generation != 2 || list[1].Generation != 3 || list[1].State != generationServing {
		t.Errorf("%+v %v", list, err)
	}
	e.control.Close()
	if _, err := client(2).Progress(t.Context()); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("of one that is gone: %v", err)
	}
}

// Without a token reading is allowed on loopback; another generation is not a way around that.
func TestGenerationsAreGuarded(t *testing.T) {
	e := newElder(t, 2)
	g := NewGenerations([]handover.Member{e.control.Member()}, nil, nil)
	s, err := NewServer(Config{Hooks: Hooks{Generations: g}, Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := NewClient(ClientConfig{Address: s.Addr().String(), Generation: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Progress(t.Context()); err != nil {
		t.Errorf("reading: %v", err)
	}
	var refused *RefusedError
	if _, err := c.Drain(t.Context(), ActionCut, false); !errors.As(err, &refused) || refused.Code != http.StatusForbidden {
		t.Errorf("acting: %v", err)
	}
}
