package balance

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const patience = 20 * time.Second

// place is a backend that says its name to each connection.
type place struct {
	Backend
	ready atomic.Bool
}

func newPlace(t *testing.T, name string) *place {
	t.Helper()
	p := &place{}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { // ends with ln
		defer close(served)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 5)
			_, _ = io.ReadFull(c, b)
			if string(b) == "reset" {
				_ = c.(*net.TCPConn).SetLinger(0)
			} else {
				_, _ = io.WriteString(c, name)
			}
			_ = c.Close()
		}
	}()
	probe := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !p.ready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(func() { _ = ln.Close(); <-served; probe.Close() })
	p.Backend = Backend{Name: name, Web: ln.Addr().String(), Ready: probe.URL}
	return p
}

// await waits until a backend is in, or out.
func await(t *testing.T, b *Balancer, name string, want bool) {
	t.Helper()
	limit := time.After(patience)
	for {
		in, changed := b.In(name)
		if in == want {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("%s: in is not %v", name, want)
		}
	}
}

// ask sends five bytes and reads to the end.
func ask(t *testing.T, addr, text string) (string, string, error) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	local := c.LocalAddr().String()
	if _, err := io.WriteString(c, text); err != nil {
		return "", local, err
	}
	got, err := io.ReadAll(c)
	return string(got), local, err
}

func door(t *testing.T, cfg Config) (*Balancer, string) {
	t.Helper()
	b := New(cfg)
	t.Cleanup(b.Close)
	addr, err := b.Open("127.0.0.1:0", Web)
	if err != nil {
		t.Fatal(err)
	}
	return b, addr
}

// TestReadiness: only who is ready gets connections, in turns; what is learned takes effect
// after the propagation; who has none to send to resets, and Route says why.
func TestReadiness(t *testing.T) {
	changes := make(chan Change, 100)
	b, addr := door(t, Config{Poll: 5 * time.Millisecond, Propagation: 50 * time.Millisecond, Observe: func(c Change) { changes <- c }})
	if _, local, err := ask(t, addr, "hello"); !errors.Is(err, syscall.ECONNRESET) && err == nil {
		t.Errorf("nobody there: %v", err)
	} else if r, ok := b.Route(local); !ok || r.Backend != "" {
		t.Errorf("nobody there: route %+v %v", r, ok)
	}
	one, other := newPlace(t, "one"), newPlace(t, "other")
	one.ready.Store(true)
	b.Add(one.Backend)
	b.Add(other.Backend)
	await(t, b, "one", true)
	for range 4 {
		if got, local, err := ask(t, addr, "hello"); got != "one" || err != nil {
			t.Errorf("got %q, %v", got, err)
		} else if r, _ := b.Route(local); r.Backend != "one" {
			t.Errorf("route %+v", r)
		}
	}
	other.ready.Store(true)
	await(t, b, "other", true)
	seen := map[string]int{}
	for range 10 {
		got, _, _ := ask(t, addr, "hello")
		seen[got]++
	}
	if seen["one"] != 5 || seen["other"] != 5 {
		t.Errorf("in turns: %v", seen)
	}
	one.ready.Store(false)
	await(t, b, "one", false)
	for range 3 {
		if got, _, _ := ask(t, addr, "hello"); got != "other" {
			t.Errorf("got %q", got)
		}
	}
	if n := b.Carried("one"); n != 9 {
		t.Errorf("one carried %d, want 9", n)
	}
	for range 3 { // one in, other in, one out
		if c := <-changes; c.At.Sub(c.Learned) < 50*time.Millisecond {
			t.Errorf("took effect after %v: %+v", c.At.Sub(c.Learned), c)
		}
	}
}

// TestCarriesResetsAsResets, and says of a backend that refuses that it did.
func TestCarriesResetsAsResets(t *testing.T) {
	b, addr := door(t, Config{Blind: true})
	p := newPlace(t, "one")
	b.Add(p.Backend)
	await(t, b, "one", true)
	if _, _, err := ask(t, addr, "reset"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a reset arrives as %v", err)
	}
	if got, _, err := ask(t, addr, "hello"); got != "one" || err != nil {
		t.Errorf("an end arrives as %q, %v", got, err)
	}
	b.Gone("one")
	await(t, b, "one", false)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := ln.Addr().String()
	_ = ln.Close()
	b.Add(Backend{Name: "nobody", Web: nobody})
	await(t, b, "nobody", true)
	if _, local, err := ask(t, addr, "hello"); err == nil {
		t.Error("nobody answered in good order")
	} else if r, _ := b.Route(local); r.Backend != "nobody" || !errors.Is(r.Err, syscall.ECONNREFUSED) {
		t.Errorf("route %+v", r)
	}
}
