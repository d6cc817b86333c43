package health_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/sluiceproxy/sluice/health"
)

// recorder writes down what it is told; it waits for hold first, if there is one.
type recorder struct {
	hold chan struct{}
	mu   sync.Mutex
	log  []string
}

func (r *recorder) Deliver(c health.Change) {
	if r.hold != nil {
		<-r.hold
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case c.Process != nil:
		r.log = append(r.log, c.Process.State.String())
	case c.Check != nil:
		r.log = append(r.log, c.Check.Name+"="+c.Check.Status.String())
	}
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.log, " ")
}

func TestAttachReplaysThenFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := health.NewRegistry(health.Config{})
		r.Set("b", health.Running, nil)
		r.Set("a", health.Starting, nil)
		r.SetProcess(health.ProcessServing, "")
		p := &recorder{}
		sub := r.Attach(p)
		synctest.Wait()
		if got, want := p.String(), "Serving b=RUNNING a=STARTING"; got != want {
			t.Errorf("replay %q, want %q", got, want)
		}
		r.Set("a", health.Running, nil)
		synctest.Wait()
		r.Set("a", health.Running, nil) // nothing new
		synctest.Wait()
		r.SetProcess(health.ProcessLameDuck, "")
		r.Set("b", health.Terminating, nil)
		sub.Detach() // delivers what is pending
		if got, want := p.String(), "Serving b=RUNNING a=STARTING a=RUNNING LameDuck b=TERMINATING"; got != want {
			t.Errorf("log %q, want %q", got, want)
		}
		r.Set("a", health.Failed, nil)
		synctest.Wait()
		if got := p.String(); strings.Contains(got, "FAILED") {
			t.Errorf("told after Detach: %q", got)
		}
		sub.Detach() // again is harmless
		r.Close()
	})
}

// A slow provider gets the latest of each check, in the order of the latest changes,
// and holds up nobody.
func TestSlowProviderIsCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := health.NewRegistry(health.Config{})
		slow, fast := &recorder{hold: make(chan struct{})}, &recorder{}
		r.Attach(slow)
		r.Attach(fast)
		synctest.Wait() // slow is within its first delivery
		for i := range 1000 {
			r.Set("a", health.Status(i%2), nil)
			r.Set("b", health.Running, fmt.Errorf("%d", i))
		}
		r.Set("a", health.Failed, nil)
		synctest.Wait()
		if got := fast.String(); !strings.HasSuffix(got, "a=FAILED") {
			t.Errorf("the fast one is behind: ...%q", got[max(0, len(got)-40):])
		}
		close(slow.hold)
		synctest.Wait()
		if got, want := slow.String(), "Starting b=RUNNING a=FAILED"; got != want {
			t.Errorf("log %q, want %q", got, want)
		}
		r.Close()
	})
}

func TestAttachAfterClose(t *testing.T) {
	r := health.NewRegistry(health.Config{})
	r.Set("a", health.Running, nil)
	r.Close()
	p := &recorder{}
	r.Attach(p)
	if got, want := p.String(), "Starting a=RUNNING"; got != want {
		t.Errorf("log %q, want %q", got, want)
	}
}

// Under -race: many writers, providers that come and go; each sees its last state.
func TestConcurrentProviders(t *testing.T) {
	r := health.NewRegistry(health.Config{})
	var writers, readers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 500 {
				r.Set(fmt.Sprintf("check.%d", w), health.Status(i%3), nil)
				r.Snapshot().Verdict(health.Ready)
			}
			r.Set(fmt.Sprintf("check.%d", w), health.Failed, nil)
		})
		readers.Go(func() {
			for range 50 {
				r.Attach(&recorder{}).Detach()
			}
		})
	}
	last := &recorder{}
	r.Attach(last)
	writers.Wait()
	readers.Wait()
	r.Close()
	final := map[string]string{}
	for entry := range strings.FieldsSeq(last.String()) {
		name, status, _ := strings.Cut(entry, "=")
		final[name] = status
	}
	for w := range 4 {
		if got := final[fmt.Sprintf("check.%d", w)]; got != "FAILED" {
			t.Errorf("check.%d ends as %q", w, got)
		}
	}
	if !slices.Contains(last.log, "Starting") {
		t.Error("the process was never told")
	}
}

func TestNaming(t *testing.T) {
	for ours, theirs := range map[string]string{
		health.PolicySyncInitial:   "databroker.sync.initial",
		health.PolicyBuild:         "config.databroker.build",
		health.ProxyListener:       "xds.listener",
		health.ProxyCluster:        "xds.cluster",
		health.ProxyRoute:          "xds.route-configuration",
		health.AuthenticateService: "authenticate.service",
		health.SessionKeys:         "session.keys",
	} {
		if got := health.PomeriumNames.Name(ours); got != theirs {
			t.Errorf("%s is %s, want %s", ours, got, theirs)
		}
		if got := health.OurNames.Name(ours); got != ours {
			t.Errorf("%s is %s in our own names", ours, got)
		}
	}
}
