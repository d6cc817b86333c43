package e2e

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	mem "unsafe"
)

// G4, when there are no descriptors: nobody who is in loses anything, readiness turns with
// the reason, and all is well again without a restart.

// allow sets how many descriptors a running process may have, and returns how many it might.
func (p *process) allow(t *testing.T, n uint64) (was uint64) {
	t.Helper()
	var old syscall.Rlimit
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(p.cmd.Process.Pid), syscall.RLIMIT_NOFILE, 0, uintptr(mem.Pointer(&old)), 0, 0); errno != 0 {
		t.Fatalf("prlimit: %v", errno)
	}
	set := syscall.Rlimit{Cur: n, Max: old.Max}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(p.cmd.Process.Pid), syscall.RLIMIT_NOFILE, uintptr(mem.Pointer(&set)), 0, 0, 0); errno != 0 {
		t.Fatalf("prlimit: %v", errno)
	}
	return old.Cur
}

func TestG4DescriptorsGone(t *testing.T) {
	t.Parallel()
	s := serve(t, newUpstream(t), setup{})
	open := func(addr string) *wire {
		t.Helper()
		w, err := connect(addr, patience)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Close() })
		return w
	}
	served, probe := open(s.web), open(s.probes)
	ask := func(w *wire, path string) answer {
		t.Helper()
		a, err := w.ask(get(path))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return a
	}
	if a := ask(served, "/"); a.status != 200 {
		t.Fatalf("before: %d", a.status)
	}
	if a := ask(probe, "/readyz"); a.status != 200 {
		t.Fatalf("before: %d", a.status)
	}
	// Every new descriptor would have a number that is not allowed any more.
	was := s.allow(t, 3)
	waiting := open(s.web) // the kernel takes it; nobody can accept it
	if _, err := waiting.Write([]byte(get("/"))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "readiness turns, with the reason", func() bool {
		a := ask(probe, "/readyz")
		return a.status == 503 && strings.Contains(a.body, "proxy.listener") && strings.Contains(a.body, "file descriptor")
	})
	if a := ask(probe, "/livez"); a.status != 200 {
		t.Errorf("/livez says %d: a restart would help nobody", a.status)
	}
	if a := ask(served, "/"); a.status != 200 {
		t.Errorf("who was there before gets %d", a.status)
	}
	if !strings.Contains(ask(probe, "/metrics").body, "sluice_accept_failures_total{listener=\"web\"}") {
		t.Error("the failures are not counted")
	}
	s.allow(t, was)
	if a, err := waiting.read(get("/")); err != nil || a.status != 200 {
		t.Errorf("who waited gets %d, %v", a.status, err)
	}
	eventually(t, "readiness is back", func() bool { return ask(probe, "/readyz").status == 200 })
}

// TestG4UpstreamsHaveTheirDescriptors: with every place taken, and upstream connections to
// many endpoints waiting for reuse, whoever is in is served, and probes are answered.
func TestG4UpstreamsHaveTheirDescriptors(t *testing.T) {
	t.Parallel()
	const descriptors, clusters = 256, 6
	var policy strings.Builder
	policy.WriteString("clusters:\n")
	var ups []*upstream
	for i := range clusters {
		ups = append(ups, newUpstream(t))
		fmt.Fprintf(&policy, "  c%d: {endpoints: [%q]}\n", i, ups[i].web)
	}
	policy.WriteString("routes:\n")
	for i := range clusters {
		fmt.Fprintf(&policy, "- {name: r%d, path: {prefix: /}, hosts: [c%d.example], cluster: c%d, policy: [{allow: {and: [{accept: true}]}}]}\n", i, i, i)
	}
	s := &sluice{dir: prepare(t, setup{policy: policy.String()})}
	s.process = launch(t, nil, "/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, descriptors),
		built.sluice, "run", "--config", s.file("sluice.yaml"), "--receipt", s.file("receipt.json"))
	s.web, s.probes = s.listening(t, "listener", "web"), s.listening(t, "component", "probes")
	s.await(t, "serving", msg("serving"))

	var in []*wire
	for { // until there is no place
		w, err := connect(s.web, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		a, err := w.ask("GET / HTTP/1.1\r\nHost: c0.example\r\n\r\n")
		if err != nil || a.status != 200 {
			break
		}
		if in = append(in, w); len(in) > descriptors {
			t.Fatal("no end of places")
		}
	}
	var crowd []net.Conn
	for range 100 { // who is too many wants in all the time
		if c, err := net.DialTimeout("tcp", s.web, patience); err == nil {
			crowd = append(crowd, c)
		}
	}
	defer func() {
		for _, c := range crowd {
			_ = c.Close()
		}
	}()
	for i := range clusters {
		var wg sync.WaitGroup
		for _, w := range in {
			wg.Go(func() { // joined below; bounded by the wire's deadline
				a, err := w.ask(fmt.Sprintf("GET /slow?d=100ms HTTP/1.1\r\nHost: c%d.example\r\n\r\n", i))
				if err != nil || a.status != 200 {
					t.Errorf("cluster %d: status %d %q %v", i, a.status, a.body, err)
				}
			})
		}
		wg.Wait()
		if code, _ := s.probe(t, "/readyz"); code != 200 {
			t.Errorf("/readyz says %d", code)
		}
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	t.Logf("%d places; %d descriptors at the end, %v", len(in), len(files), err)
}
