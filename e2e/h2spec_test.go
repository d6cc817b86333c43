package e2e

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// helper builds a program from a module of its own beside this one, whose dependencies are nobody else's.
func helper(t *testing.T, module, program string) string {
	t.Helper()
	at := filepath.Join(t.TempDir(), filepath.Base(module))
	cmd := exec.Command("go", "build", "-o", at, program)
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", program, err, out)
	}
	return at
}

// forLoopback is a setup with TLS whose certificate stands for 127.0.0.1, for clients that send no name.
func forLoopback(t *testing.T) setup {
	t.Helper()
	c, dir := secure(t, "")
	cert := newAuthority(t, "loopback").server(t, time.Hour)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	pair{"127.0.0.1", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))}.put(t, dir, "edge")
	return c
}

// TestH2spec plays every case of the conformance suite, strict ones too, while it serves, and again after a
// lame duck that was undone.
func TestH2spec(t *testing.T) {
	t.Parallel()
	program := helper(t, "h2spec", "github.com/summerwind/h2spec/cmd/h2spec")
	for name, c := range map[string]setup{"TLS": forLoopback(t), "in the clear": {ofWeb: ", http2: only"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.lameDuck = "{min: 10s, max: 15s, quiet: 5s, notice_after: 10ms}"
			s := serve(t, newUpstream(t), c)
			args := []string{"--strict", "-P", "/each"}
			if name == "TLS" {
				args = append(args, "--tls", "--insecure")
			}
			s.conforms(t, program, args)
			for _, more := range []string{"", "--undo"} {
				ask := []string{"drain", "-c", s.file("sluice.yaml")}
				if more != "" {
					ask = append(ask, more)
				}
				if out, code := s.cli(t, ask...); code != 0 {
					t.Fatalf("%v: exit %d: %s", ask, code, out)
				}
			}
			s.conforms(t, program, args)
		})
	}
}

// conforms runs the suite and asserts that each of its cases passed.
func (s *sluice) conforms(t *testing.T, program string, args []string) {
	t.Helper()
	host, port, err := net.SplitHostPort(s.web)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, append(args, "-h", host, "-p", port)...).CombinedOutput()
	m := regexp.MustCompile(`\d+ tests, (\d+) passed, (\d+) skipped, (\d+) failed`).FindStringSubmatch(string(out))
	if err != nil || m == nil || m[1] != "146" || m[2] != "0" || m[3] != "0" {
		text := string(out)
		if at := strings.Index(text, "Failures:"); at >= 0 {
			text = text[at:]
		}
		t.Errorf("%v: %s", err, text)
	}
}
