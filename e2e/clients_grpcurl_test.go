package e2e

import (
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

var buildGRPCurl = sync.OnceValues(func() (string, error) {
	at := filepath.Join(filepath.Dir(built.sluice), "grpcurl")
	cmd := exec.Command("go", "build", "-o", at, "github.com/fullstorydev/grpcurl/cmd/grpcurl")
	cmd.Dir = "grpcurl"
	return at, cmd.Run()
})

const testService = "grpc.testing.TestService"

// TestGRPCurl: what an operator asks by hand, with TLS and without: reflection, a call, and a stream that is open when the
// proxy is stopped and ends whole.
func TestGRPCurl(t *testing.T) {
	if !heavy() {
		t.Skip("it takes minutes to build: make heavy")
	}
	program, err := buildGRPCurl()
	if err != nil {
		t.Fatal(err)
	}
	server := grpcServer(t)
	veil, certs := secure(t, "")
	for name, c := range map[string]setup{"in the clear": {}, "TLS": veil} {
		t.Run(name, func(t *testing.T) {
			c.policy = speaking(server, "http2")
			s := serve(t, newUpstream(t), c)
			how := []string{"-plaintext"}
			if name == "TLS" {
				how = []string{"-cacert", filepath.Join(certs, "edge.crt"), "-authority", edge().name}
			}
			ask := func(args ...string) string {
				t.Helper()
				out, err := exec.Command(program, append(append(how[:len(how):len(how)], "-max-time", "20"), args...)...).CombinedOutput()
				if err != nil {
					t.Fatalf("grpcurl %v: %v\n%s", args, err, out)
				}
				return string(out)
			}
			if out := ask(s.web, "list"); !strings.Contains(out, testService) {
				t.Errorf("list: %s", out)
			}
			if out := ask(s.web, "describe", testService+".UnaryCall"); !strings.Contains(out, "rpc UnaryCall") {
				t.Errorf("describe: %s", out)
			}
			if out := ask("-d", `{"response_size": 9}`, s.web, testService+"/UnaryCall"); !strings.Contains(out, "AAAAAAAAAAAA") {
				t.Errorf("call: %s", out)
			}
			grpcurlThroughAStop(t, s, exec.Command(program, append(append(how[:len(how):len(how)], "-max-time", "20"),
				"-d", "@", s.web, testService+"/FullDuplexCall")...))
		})
	}
}

// grpcurlThroughAStop asks twice on one stream: before a stop and within it.
func grpcurlThroughAStop(t *testing.T, s *sluice, cmd *exec.Cmd) {
	t.Helper()
	const question = `{"response_parameters": [{"size": 6}], "payload": {"body": "AAAA"}}` + "\n"
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out lockedText
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := func(n int) {
		eventually(t, "an answer", func() bool { return strings.Count(out.text(), "AAAAAAAA") == n })
	}
	_, _ = io.WriteString(in, question)
	answers(1)
	s.signal(t, syscall.SIGTERM)
	s.await(t, "the drain", msg("draining"))
	_, _ = io.WriteString(in, question)
	answers(2)
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("grpcurl: %v\n%s", err, out.text())
	}
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if r := s.receipt(t); r.CutTotal+r.StuckTotal+r.Exchanges.Interrupted+r.Exchanges.Failed != 0 {
		t.Errorf("the receipt has %d cut, %d stuck, %+v", r.CutTotal, r.StuckTotal, r.Exchanges)
	}
}

// lockedText is what a program has printed so far.
type lockedText struct {
	mu sync.Mutex // guards b
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
