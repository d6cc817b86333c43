package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// gRPC by grpc-go, which is a program of its own (folder grpc).

var buildGRPC = sync.OnceValues(func() (string, error) {
	at := filepath.Join(filepath.Dir(built.sluice), "grpc")
	if os.Getenv("E2E_BUILT") != "" { // who sent us elsewhere has built it
		return at, nil
	}
	cmd := exec.Command("go", "build", "-o", at, ".")
	cmd.Dir = "grpc"
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return at, nil
})

// grpcProgram is one run of it.
type grpcProgram struct {
	cmd   *exec.Cmd
	in    io.Closer
	lines chan string // of its standard output; closed with it
}

func startGRPC(t *testing.T, args ...string) *grpcProgram {
	t.Helper()
	at, err := buildGRPC()
	if err != nil {
		t.Fatal(err)
	}
	g := &grpcProgram{cmd: exec.Command(at, args...), lines: make(chan string, 1<<15)}
	var faults strings.Builder
	g.cmd.Stderr = &faults
	out, err := g.cmd.StdoutPipe()
	if err == nil {
		g.in, err = g.cmd.StdinPipe()
	}
	if err == nil {
		err = g.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{}) // closed when the output has ended
	go func() {                 // ends with the output
		defer close(gone)
		defer close(g.lines)
		in := bufio.NewScanner(out)
		in.Buffer(nil, 16<<20) // a report has a line for each call that failed
		for in.Scan() {
			select {
			case g.lines <- in.Text():
			default: // nobody follows its progress: what is lost is old when somebody does
			}
		}
	}()
	t.Cleanup(func() {
		_ = g.cmd.Process.Kill()
		<-gone
		_ = g.cmd.Wait()
		if faults.Len() > 0 {
			t.Logf("grpc %v: %s", args, faults.String())
		}
	})
	return g
}

// line waits for the next one; empty: it ended.
func (g *grpcProgram) line(t *testing.T) string {
	t.Helper()
	select {
	case l := <-g.lines:
		return l
	case <-time.After(patience):
		t.Fatal("grpc says nothing")
		return ""
	}
}

// grpcServer is an upstream; it ends with the test.
func grpcServer(t *testing.T) (addr string) {
	t.Helper()
	return startGRPC(t, "serve").line(t)
}

// grpcLoad is six channels with callers of both kinds, unless flags say otherwise.
func grpcLoad(t *testing.T, addr string, flags ...string) *grpcProgram {
	t.Helper()
	return startGRPC(t, slices.Concat([]string{"load"}, flags, byTLS(t, addr))...)
}

// byTLS is an address as arguments: behind overTLS with the file of the authority.
func byTLS(t *testing.T, addr string) []string {
	t.Helper()
	plain, ok := strings.CutPrefix(addr, overTLS)
	if !ok {
		return []string{plain}
	}
	dir := t.TempDir()
	edge().put(t, dir, "edge")
	return []string{plain, filepath.Join(dir, "edge.crt")}
}

// grpcReport is what became of a load.
type grpcReport struct {
	Unary, Streams int // calls that ended well
	Failed         []string
	Refused        int // dials; whose calls those were is done
	Connections    []int
}

// more waits for n more calls of each kind.
func (g *grpcProgram) more(t *testing.T, n int) {
	t.Helper()
	for len(g.lines) > 0 { // what was said before is old
		<-g.lines
	}
	for limit, first := time.Now().Add(patience), -1; time.Now().Before(limit); {
		var done int
		if _, err := fmt.Sscanf(g.line(t), "done %d", &done); err != nil {
			t.Fatalf("grpc: %v", err)
		}
		if first < 0 {
			first = done
		}
		if done >= first+n {
			return
		}
	}
	t.Fatalf("no %d more calls within %v", n, patience)
}

// finish ends a load and returns what became of it.
func (g *grpcProgram) finish(t *testing.T) (r grpcReport) {
	t.Helper()
	_ = g.in.Close()
	for {
		l := g.line(t)
		if strings.HasPrefix(l, "done") {
			continue
		}
		if l == "" {
			t.Fatal("grpc has ended without its report")
		}
		if err := json.Unmarshal([]byte(l), &r); err != nil {
			t.Fatalf("grpc: %v in %q", err, l)
		}
		return r
	}
}

// TestGRPCInterop: the fourteen cases of the interop suite, with TLS and without, while it serves and in the lame duck.
func TestGRPCInterop(t *testing.T) {
	t.Parallel()
	server := grpcServer(t)
	veil, _ := secure(t, "")
	for name, c := range map[string]setup{"in the clear": {}, "TLS": veil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.policy = speaking(server, "http2")
			c.lameDuck = "{min: 10s, max: 15s, quiet: 5s, notice_after: 50ms}"
			s := serve(t, newUpstream(t), c)
			addr := s.web
			if name == "TLS" {
				addr = overTLS + addr
			}
			interoperates(t, addr)
			if out, code := s.cli(t, "drain", "-c", s.file("sluice.yaml")); code != 0 {
				t.Fatalf("drain: exit %d: %s", code, out)
			}
			interoperates(t, addr)
			if code, _ := s.probe(t, "/readyz"); code != 503 {
				t.Errorf("readyz %d: the lame duck was over", code)
			}
		})
	}
}

func interoperates(t *testing.T, addr string) {
	t.Helper()
	g := startGRPC(t, append([]string{"interop"}, byTLS(t, addr)...)...)
	passed := 0
	for l := g.line(t); l != ""; l = g.line(t) {
		passed++
	}
	if passed != 14 {
		t.Errorf("%d of 14 cases passed", passed)
	}
}

// TestGRPCBehindALateBalancer: a balancer that acts on readiness five seconds late costs a channel at most three
// connections, and no call.
func TestGRPCBehindALateBalancer(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s")
	}
	t.Parallel()
	server := grpcServer(t)
	c := setup{policy: speaking(server, "http2"), lameDuck: "{min: 6s, max: 7s, quiet: 500ms, notice_after: 1s}"}
	one, other := serve(t, newUpstream(t), c), serve(t, newUpstream(t), c)
	b := newBalancer(t, 10*time.Millisecond)
	b.late = 5 * time.Second
	b.admit(&instance{web: one.web, probes: one.probes})
	b.admit(&instance{web: other.web, probes: other.probes})
	load := grpcLoad(t, b.open(t, "127.0.0.1:0", func(in *instance) string { return in.web }))
	load.more(t, 50)
	if out, code := one.cli(t, "drain", "-c", one.file("sluice.yaml")); code != 0 {
		t.Fatalf("drain: exit %d: %s", code, out)
	}
	if code := one.exit(t, 2*patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	load.more(t, 20)
	r := load.finish(t)
	for i, n := range r.Connections {
		if n-1 > 3 {
			t.Errorf("channel %d connected %d times again, want 3 at most", i, n-1)
		}
	}
	if len(r.Failed) > 0 || b.refused.Load() > 0 {
		t.Errorf("%d calls failed: %q; %d dials refused", len(r.Failed), r.Failed, b.refused.Load())
	}
	t.Logf("%d unary calls, %d streams; connections of each channel: %v", r.Unary, r.Streams, r.Connections)
}
