package handover

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/internal/synshed"
)

// passed makes an environment with copies of sockets, as LISTEN_FDS would have them.
func passed(t *testing.T, env map[string]string, names []string, lns ...net.Listener) environment {
	t.Helper()
	const first = 400 // nobody's
	for i, ln := range lns {
		fd, err := duplicate(ln)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Dup2(fd, first+i); err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
	}
	all := map[string]string{"LISTEN_PID": "7", "LISTEN_FDS": strconv.Itoa(len(lns)), "LISTEN_FDNAMES": strings.Join(names, ":")}
	for k, v := range env {
		all[k] = v
	}
	return environment{get: func(k string) string { return all[k] }, unset: func(k string) { delete(all, k) }, pid: 7, first: first}
}

func listen(t *testing.T) *net.TCPListener {
	t.Helper()
	ln, err := synshed.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.(*net.TCPListener)
}

func never(context.Context) (net.Listener, error) { return nil, errors.New("bound") }

// serves reports whether a dial is accepted by ln.
func serves(t *testing.T, ln net.Listener) bool {
	t.Helper()
	c, err := net.DialTimeout("tcp", ln.Addr().String(), 300*time.Millisecond)
	if err != nil {
		return false
	}
	defer c.Close()
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return s.Close() == nil
}

// A former owner may have died between shedding SYNs and closing: its filter is still on
// the socket. Whoever inherits it serves the first SYN.
func TestAnInheritedSocketHearsAgain(t *testing.T) {
	ln := listen(t)
	if _, err := synshed.Begin(ln, synshed.Cookies{}); err != nil {
		t.Skip("no filters here:", err)
	}
	if serves(t, ln) {
		t.Fatal("the filter does nothing: the test shows nothing")
	}
	g, err := receive(passed(t, nil, []string{"web"}, ln))
	if err != nil {
		t.Fatal(err)
	}
	d := NewDoors(g)
	own, inherited, err := d.Open(t.Context(), "web", ln.Addr().String(), never)
	if err != nil || !inherited {
		t.Fatal(err, inherited)
	}
	defer own.Close()
	defer d.Drop("web")
	if !serves(t, own) {
		t.Error("deaf")
	}
	if !d.Shared("web") || !d.Supervised("web") {
		t.Error("systemd's socket counts as ours alone")
	}
}

// The flag belongs to the socket: making it blocking would hang the loops of another process.
func TestDuplicatesStayNonBlocking(t *testing.T) {
	ln := listen(t)
	d := NewDoors(nil)
	_, _, err := d.Open(t.Context(), "web", ln.Addr().String(), func(context.Context) (net.Listener, error) { return ln, nil })
	if err != nil {
		t.Fatal(err)
	}
	defer d.Drop("web")
	_, fds := d.offer()
	for range 2 {
		again, err := d.Again("web")
		if err != nil {
			t.Fatal(err)
		}
		again.Close()
		flags, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Fatalf("flags %#x, %v: blocking", flags, err)
		}
	}
	if !serves(t, ln) {
		t.Error("a closed duplicate closed the socket")
	}
}

func TestWhatIsPassed(t *testing.T) {
	ln, other := listen(t), listen(t)
	at := ln.Addr().String()
	offer := func(o Offer) map[string]string {
		b, _ := json.Marshal(o)
		return map[string]string{offerVariable: string(b)}
	}
	for _, tt := range []struct {
		name  string
		env   map[string]string
		names []string
		lns   []net.Listener
		want  string // inherited, bound, or in the text of an error
		left  string // unclaimed
	}{
		{"by name", nil, []string{"web"}, []net.Listener{ln}, "inherited", ""},
		{"nothing", nil, nil, nil, "bound", ""},
		{"for somebody else", map[string]string{"LISTEN_PID": "8"}, []string{"web"}, []net.Listener{ln}, "bound", ""},
		{"no such listener", nil, []string{"gone"}, []net.Listener{ln}, "bound", "gone"},
		{"no name", nil, nil, []net.Listener{ln}, "bound", "unknown"},
		{"another address", nil, []string{"web"}, []net.Listener{other}, "make ListenStream= and the configuration agree", ""},
		{"another address, from the store", map[string]string{"FDSTORE": "8", "NOTIFY_SOCKET": "/x"}, []string{"web"}, []net.Listener{other}, "bound", ""},
		{"twice", nil, []string{"web", "web"}, []net.Listener{ln, other}, "two sockets", "web,web"},
		{"no number", map[string]string{"LISTEN_FDS": "x"}, nil, nil, "not a number", ""},
		{"an offer without a link", offer(Offer{Generation: 2}), []string{"web"}, []net.Listener{ln}, "no link", ""},
		{"an offer for somebody else", map[string]string{"LISTEN_PID": "8", offerVariable: "{}"}, nil, nil, "listen-exec", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, left := open(t, passed(t, tt.env, tt.names, tt.lns...), at)
			if !strings.Contains(got, tt.want) || left != tt.left {
				t.Errorf("%s, unclaimed %q; want %s, %q", got, left, tt.want, tt.left)
			}
		})
	}
}

func open(t *testing.T, env environment, at string) (got, left string) {
	t.Helper()
	g, err := receive(env)
	if err != nil {
		for g != nil && g.Unclaimed() != nil {
		}
		return err.Error(), ""
	}
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", offerVariable} {
		if env.get(name) != "" {
			t.Errorf("%s stays in the environment", name)
		}
	}
	d := NewDoors(g)
	ln, inherited, err := d.Open(t.Context(), "web", at, never)
	switch {
	case inherited:
		ln.Close()
		d.Drop("web")
		got = "inherited"
	case err != nil:
		got = err.Error() // "bound" is the error of never
	}
	names := g.Unclaimed()
	slices.Sort(names)
	return got, strings.Join(names, ",")
}

// While a gate is shut connections wait; they are lost to nobody.
func TestGate(t *testing.T) {
	ln := listen(t)
	d := NewDoors(nil)
	_, _, err := d.Open(t.Context(), "probes", ln.Addr().String(), func(context.Context) (net.Listener, error) { return ln, nil })
	if err != nil {
		t.Fatal(err)
	}
	g := d.NewGate("probes", ln)
	accepted := make(chan error, 8)
	go func() { // ends with the gate
		for {
			c, err := g.Accept()
			accepted <- err
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	for range 3 {
		g.Shut()
		g.Shut()
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		select {
		case err := <-accepted:
			t.Fatalf("accepted through a shut gate: %v", err)
		case <-time.After(20 * time.Millisecond): // nothing to wait for: it must not happen
		}
		g.Open()
		if err := <-accepted; err != nil {
			t.Fatal(err)
		}
	}
	g.Shut()
	g.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after close: %v", err)
	}
	if _, err := d.Again("probes"); err == nil {
		t.Error("a closed gate keeps its socket")
	}
}
