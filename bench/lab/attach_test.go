package lab

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/balance"
	"github.com/sluiceproxy/sluice/bench/lab/record"
	"github.com/sluiceproxy/sluice/bench/lab/replica"
	"github.com/sluiceproxy/sluice/bench/lab/report"
)

// supervisor is somebody who runs two proxies and restarts them when asked to: what an
// orchestrator is to the lab. A line "restart NAME" is answered when it is done.
type supervisor struct {
	t       *testing.T
	ln      net.Listener
	dir     string
	running sync.WaitGroup

	mu    sync.Mutex // guards procs and specs
	procs map[string]replica.Instance
	specs map[string]replica.Spec
	n     int
}

func newSupervisor(t *testing.T, upstream string, names ...string) *supervisor {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &supervisor{t: t, ln: ln, dir: t.TempDir(), procs: map[string]replica.Instance{}, specs: map[string]replica.Spec{}}
	for _, name := range names {
		spec := replica.Spec{Name: name, Settings: replica.Settings{UpstreamWeb: upstream, LameDuck: 300 * time.Millisecond, Drain: 4 * time.Second}}
		spec.Web, spec.Probe = free(t), free(t)
		s.specs[name] = spec
		if err := s.start(name); err != nil {
			t.Fatal(err)
		}
	}
	s.running.Go(s.serve) // ends with ln
	t.Cleanup(func() {
		_ = ln.Close()
		s.running.Wait()
		for _, in := range s.procs {
			_ = in.Kill()
		}
	})
	return s
}

// free is a port of its own; the kernel gives no port twice in a row.
func free(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func (s *supervisor) start(name string) error {
	spec := s.specs[name]
	s.n++
	spec.Dir = filepath.Join(s.dir, fmt.Sprint(name, s.n))
	if err := os.MkdirAll(spec.Dir, 0o700); err != nil {
		return err
	}
	in, err := goProxy(s.t).Start(s.t.Context(), spec)
	if err == nil {
		s.procs[name] = in
		err = replica.AwaitReady(s.t.Context(), in)
	}
	return err
}

func (s *supervisor) serve() {
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		line, _ := bufio.NewReader(c).ReadString('\n')
		verb, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		fmt.Fprintln(c, s.do(verb, name))
		_ = c.Close()
	}
}

func (s *supervisor) do(verb, name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.procs[name]
	switch verb {
	case "who":
		id, err := in.Identity(s.t.Context())
		return fmt.Sprintf("%d %v", id.PID, err)
	case "restart":
		if err := in.Stop(s.t.Context()); err != nil {
			return "no: " + err.Error()
		}
		if err := s.start(name); err != nil {
			return "no: " + err.Error()
		}
	}
	return "done"
}

// ask is a shell command that says a line to the supervisor and prints its answer: this
// program does it (see TestMain).
func (s *supervisor) ask(line string) string {
	return fmt.Sprintf("%s %s %s %s", os.Args[0], askCommand, s.ln.Addr(), line)
}

func attach(t *testing.T, a *Attach) Config {
	cfg := quick(t, nil, "")
	cfg.Attach = a
	return cfg
}

// TestAttach: a fleet that somebody else runs, behind the lab's balancer, restarted by a
// command for each target; its identity is what another command prints.
func TestAttach(t *testing.T) {
	upstream := free(t)
	s := newSupervisor(t, upstream, "one", "other")
	var targets []balance.Backend
	for _, name := range []string{"one", "other"} {
		targets = append(targets, balance.Backend{Name: name, Web: s.specs[name].Web, Ready: "http://" + s.specs[name].Probe + "/ready"})
	}
	r := roll(t, attach(t, &Attach{Name: "theirs", Targets: targets, Restart: s.ask("restart {name}"), Identity: s.ask("who {name}"), UpstreamWeb: upstream}))
	if r.Total.Refused > 0 || len(r.Restarts) != 2 || r.Proxy != "theirs" {
		t.Errorf("%d refused, restarts %+v", r.Total.Refused, r.Restarts)
	}
	if v := report.Judge(r, report.Limits{MaxLost: r.Total.Lost}); v.Exit != report.ExitOK {
		t.Errorf("verdict %+v", v)
	}
	if len(r.Replicas) != 2 || len(r.Replicas[0].Phases) < 4 { // starting, ready, out, ready
		t.Errorf("replicas %+v", r.Replicas)
	}
}

// TestAttachToOneDoor: an upstream of their own, no balancer of ours, one command for all; who
// was refused meanwhile is counted, and a command that restarts nothing proves nothing.
func TestAttachToOneDoor(t *testing.T) {
	upstream := free(t)
	s := newSupervisor(t, upstream, "one")
	targets := []balance.Backend{{Name: "one", Web: s.specs["one"].Web}}
	r := roll(t, attach(t, &Attach{Targets: targets, Restart: s.ask("who one"), Identity: s.ask("who one"), UpstreamWeb: upstream}))
	if v := report.Judge(r, report.Limits{}); v.Exit != report.ExitUnproven || r.Total.Lost+r.Total.Refused > 0 {
		t.Errorf("nothing was restarted: %+v, %+v", v, r.Total)
	}
	r, err := Roll(t.Context(), attach(t, &Attach{Targets: targets, Restart: s.ask("restart one"), Identity: s.ask("who one"), UpstreamWeb: upstream}))
	if err != nil || r.Total.Refused == 0 || !r.Restarts[0].Proven || r.Settings.Balancer != "none" {
		t.Errorf("%+v, %+v, %v", r.Total, r.Restarts, err)
	}
	r, err = Roll(t.Context(), attach(t, &Attach{Targets: targets, Restart: "exit 7", Path: "/"}))
	if err != nil || !strings.Contains(r.Error, "exit status 7") || len(r.Classes) != 3 || r.Classes[0].Class != record.Short.String() {
		t.Errorf("error %q, %v, classes %+v", r.Error, err, r.Classes)
	}
}

// TestAttachUsage: what is missing is named.
func TestAttachUsage(t *testing.T) {
	door := balance.Backend{Name: "a", Web: "127.0.0.1:1"}
	for _, c := range []struct {
		a    Attach
		want string
	}{
		{Attach{}, "no targets"},
		{Attach{Targets: []balance.Backend{door}}, "command"},
		{Attach{Targets: []balance.Backend{door}, Restart: "x"}, "upstream"},
		{Attach{Targets: []balance.Backend{door, door}, Restart: "x", Path: "/"}, "readiness"},
		{Attach{Targets: []balance.Backend{{Name: "a"}}, Restart: "x", Path: "/"}, "web address"},
	} {
		if err := c.a.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.a, err, c.want)
		}
	}
}
