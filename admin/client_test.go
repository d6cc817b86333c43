package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/lifecycle"
)

// startServer serves for real.
func startServer(t *testing.T, cfg Config) *Server {
	t.Helper()
	s := newServer(t, cfg)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newClient(t *testing.T, cfg ClientConfig) *Client {
	t.Helper()
	c, err := NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The client and the server understand each other, over either kind of address.
func TestClient(t *testing.T) {
	token := tokenFile(t, secret)
	for name, cfg := range map[string]Config{
		"unix":             {Address: "unix:" + filepath.Join(t.TempDir(), "admin.sock")},
		"unix with token":  {Address: "unix:" + filepath.Join(t.TempDir(), "admin.sock"), TokenFile: token},
		"loopback":         {Address: "127.0.0.1:0", TokenFile: token},
		"every address":    {Address: ":0", TokenFile: token},
		"the other family": {Address: "[::1]:0", TokenFile: token},
	} {
		t.Run(name, func(t *testing.T) {
			hooks := &calls{}
			cfg.Hooks = hooks.hooks()
			s := startServer(t, cfg)
			address := cfg.Address
			if tcp, ok := s.Addr().(*net.TCPAddr); ok {
				host, _, _ := net.SplitHostPort(cfg.Address)
				_, port, _ := net.SplitHostPort(tcp.String())
				address = net.JoinHostPort(host, port)
			}
			c := newClient(t, ClientConfig{Address: address, TokenFile: cfg.TokenFile})
			ctx := t.Context()
			if st, err := c.Status(ctx); err != nil || st.Policy.Version != "17" || st.PID != os.Getpid() {
				t.Errorf("status %+v, %v", st, err)
			}
			if p, err := c.Progress(ctx); err != nil || p.State != health.ProcessLameDuck {
				t.Errorf("progress %+v, %v", p, err)
			}
			if p, err := c.Policy(ctx); err != nil || p.Rejected == nil || p.Rejected.Version != "18" {
				t.Errorf("policy %+v, %v", p, err)
			}
			if v, err := c.Connections(ctx, 5, true); err != nil || len(v.Holders) != 1 || v.Holders[0].Peer != "192.0.2.7:4711" {
				t.Errorf("connections %+v, %v", v, err)
			}
			if v, err := c.Connections(ctx, 0, false); err != nil || !v.PeersHashed {
				t.Errorf("connections %+v, %v", v, err)
			}
			if r, err := c.Receipt(ctx, false); err != nil || !r.PeersHidden || r.CutTotal != 1 {
				t.Errorf("receipt %+v, %v", r, err)
			}
			if _, err := c.Drain(ctx, ActionStart, true); err != nil {
				t.Error(err)
			}
			if err := c.Reload(ctx); err != nil {
				t.Error(err)
			}
			if got, want := strings.Join(hooks.log, ", "), "connections 5, connections 100, start park=true, reload"; got != want {
				t.Errorf("hooks: %s, want %s", got, want)
			}

			hooks.err = lifecycle.ErrTooLate
			_, err := c.Drain(ctx, ActionUndo, false)
			var no *RefusedError
			if !errors.As(err, &no) || no.Code != 409 || no.Text != lifecycle.ErrTooLate.Error() {
				t.Errorf("too late: %v", err)
			}
			_, err = c.Receipt(ctx, false)
			if !errors.As(err, &no) || no.Code != 404 {
				t.Errorf("no receipt: %v", err)
			}
			if cfg.TokenFile != "" {
				_, err := newClient(t, ClientConfig{Address: address}).Status(ctx)
				if !errors.As(err, &no) || no.Code != 401 || !strings.Contains(err.Error(), "admin.token_file") {
					t.Errorf("without a token: %v", err)
				}
			}
		})
	}
}

func TestClientSaysWhatIsWrong(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stranger := &http.Server{Handler: http.RedirectHandler("http://192.0.2.1/", http.StatusFound)}
	done := make(chan error)
	go func() { done <- stranger.Serve(ln) }() // ended and joined below
	defer func() { stranger.Close(); <-done }()
	_, err = newClient(t, ClientConfig{Address: ln.Addr().String()}).Status(t.Context())
	if err == nil || !strings.Contains(err.Error(), "not the admin server") {
		t.Errorf("a stranger: %v", err)
	}

	_, err = newClient(t, ClientConfig{Address: "unix:" + filepath.Join(t.TempDir(), "none")}).Status(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no answer from") || !strings.Contains(err.Error(), "admin.address") {
		t.Errorf("nobody: %v", err)
	}

	silent, err := net.Listen("tcp", "127.0.0.1:0") // connects, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_, err = newClient(t, ClientConfig{Address: silent.Addr().String(), Timeout: 50 * time.Millisecond}).Status(t.Context())
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silence: %v", err)
	}

	for _, cfg := range []ClientConfig{{Address: "nonsense"}, {TokenFile: "/nowhere/token"}} {
		if _, err := NewClient(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "admin.sock")
	s := startServer(t, Config{Address: "unix:" + path})
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("socket %v, %v", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}

	second := newServer(t, Config{Address: "unix:" + path})
	if err := second.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "another process listens there") {
		t.Errorf("a second server: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the second took the socket of the first: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close: %v", err)
	}
}

// What a dead process left is replaced; what is no socket is not.
func TestUnixSocketLeftBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	s := startServer(t, Config{Address: "unix:" + path, Hooks: (&calls{}).hooks()})
	if _, err := newClient(t, ClientConfig{Address: "unix:" + path}).Status(t.Context()); err != nil {
		t.Error(err)
	}
	s.Close()

	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := newServer(t, Config{Address: "unix:" + path}).Start(t.Context()); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file in the place: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Error("the file is gone")
	}
}

// A successor has put its own socket there: the predecessor's Close leaves it alone.
func TestUnixSocketOfASuccessorStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	first := startServer(t, Config{Address: "unix:" + path})
	if err := os.Remove(path); err != nil { // as a hand-over would
		t.Fatal(err)
	}
	startServer(t, Config{Address: "unix:" + path, Hooks: (&calls{}).hooks()})
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, err := newClient(t, ClientConfig{Address: "unix:" + path}).Status(t.Context()); err != nil {
		t.Errorf("the successor cannot be reached: %v", err)
	}
}

// The admin server answers while the process drains, and a profile does not hold Close.
func TestServerAnswersUntilClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	s := startServer(t, Config{Address: "unix:" + path, Hooks: (&calls{}).hooks()})
	s.Admit()
	s.LameDuck()
	if err := s.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := newClient(t, ClientConfig{Address: "unix:" + path}).Progress(t.Context()); err != nil {
		t.Error(err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /debug/pprof/trace?seconds=20 HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.ReadFull(c, make([]byte, 16)); err != nil { // it has begun
		t.Fatal(err)
	}
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
}
