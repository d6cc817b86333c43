package synshed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// addresses: how a listener is bound and how clients reach it.
var addresses = []struct{ name, listen, dial string }{
	{"v4", "127.0.0.1:0", "127.0.0.1"},
	{"v6", "[::1]:0", "[::1]"},
	{"v4 over dual stack", ":0", "127.0.0.1"},
	{"v6 over dual stack", ":0", "[::1]"},
}

func listen(t *testing.T, addr string) *net.TCPListener {
	t.Helper()
	ln, err := Listen(t.Context(), "tcp", addr)
	if err != nil {
		if strings.Contains(addr, "::") {
			t.Skip("no IPv6 here: ", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.(*net.TCPListener)
}

func dial(ln net.Listener, host string, timeout time.Duration) (net.Conn, error) {
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return net.DialTimeout("tcp", net.JoinHostPort(strings.Trim(host, "[]"), port), timeout)
}

func mustDial(t *testing.T, ln net.Listener, host string) net.Conn {
	t.Helper()
	c, err := dial(ln, host, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func mustAccept(t *testing.T, ln net.Listener) net.Conn {
	t.Helper()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// The filter sees the TCP header at offset 0 for every family: a SYN is dropped,
// everything of a connection that exists passes, both ways and to its end.
func TestFilterDropsOnlySYN(t *testing.T) {
	for _, at := range addresses {
		t.Run(at.name, func(t *testing.T) {
			ln := listen(t, at.listen)
			client := mustDial(t, ln, at.dial)
			server := mustAccept(t, ln)
			queued := mustDial(t, ln, at.dial)
			shed, err := Begin(ln, CountCookies())
			if err != nil {
				t.Fatal(err)
			}
			c, err := dial(ln, at.dial, 100*time.Millisecond)
			var ne net.Error
			if err == nil {
				c.Close()
			}
			if !errors.As(err, &ne) || !ne.Timeout() {
				t.Fatalf("dial while shedding: %v, want a timeout", err)
			}
			echo(t, client, server)
			echo(t, queued, mustAccept(t, ln))
			if err := shed.Undo(); err != nil {
				t.Fatal(err)
			}
			echo(t, mustDial(t, ln, at.dial), mustAccept(t, ln))
		})
	}
}

// echo sends a byte each way and then a FIN each way.
func echo(t *testing.T, a, b net.Conn) {
	t.Helper()
	for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
		if _, err := pair[0].Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := pair[0].(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		pair[1].SetReadDeadline(time.Now().Add(5 * time.Second))
		if got, err := io.ReadAll(pair[1]); string(got) != "x" || err != nil {
			t.Fatalf("read %q, %v", got, err)
		}
	}
}

func TestDetachOpensAnInheritedSocket(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	if err := Detach(ln); err != nil {
		t.Errorf("without a filter: %v", err)
	}
	if _, err := Begin(ln, Cookies{}); err != nil {
		t.Fatal(err)
	}
	f, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	inherited, err := net.FileListener(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer inherited.Close()
	if err := Detach(inherited.(*net.TCPListener)); err != nil {
		t.Fatal(err)
	}
	mustDial(t, inherited, "127.0.0.1")
}

// What nobody accepts is left over, counted, and never called proven.
func TestQueueIsSeen(t *testing.T) {
	for _, at := range addresses {
		t.Run(at.name, func(t *testing.T) {
			ln := listen(t, at.listen)
			for range 3 {
				mustDial(t, ln, at.dial)
			}
			shed, err := Begin(ln, CountCookies())
			if err != nil {
				t.Fatal(err)
			}
			if got, want := shed.WaitEmpty(t.Context()), (Result{Reason: "not empty within 200ms", Residue: 3}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
			for range 3 {
				mustAccept(t, ln)
			}
			if got, want := shed.WaitEmpty(t.Context()), (Result{Proven: true}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

// A handshake under way is seen by both ways of counting. TCP_DEFER_ACCEPT keeps one
// in SYN_RECV until its first byte comes.
func TestHandshakeUnderWayIsSeen(t *testing.T) {
	for _, at := range addresses {
		t.Run(at.name, func(t *testing.T) {
			ln := listen(t, at.listen)
			raw, err := ln.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			var fd int
			raw.Control(func(n uintptr) { fd = int(n) })
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 5); err != nil {
				t.Fatal(err)
			}
			mustDial(t, listen(t, at.listen), at.dial) // a stranger on another port
			c := mustDial(t, ln, at.dial)
			sa, err := unix.Getsockname(fd)
			if err != nil {
				t.Fatal(err)
			}
			l, _ := endpointOf(sa)
			for name, count := range map[string]func() (int, error){
				"inet_diag": func() (int, error) { return diagCount(l) },
				"proc":      func() (int, error) { return procCount(l) },
			} {
				if got, err := count(); got != 1 || err != nil {
					t.Errorf("%s: %d handshakes, %v; want 1", name, got, err)
				}
			}
			shed, err := Begin(ln, CountCookies())
			if err != nil {
				t.Fatal(err)
			}
			if got := shed.WaitEmpty(t.Context()); got.Proven || got.Residue != 1 {
				t.Errorf("with a handshake under way: %+v", got)
			}
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			mustAccept(t, ln)
			if got := shed.WaitEmpty(t.Context()); !got.Proven {
				t.Errorf("after it: %+v", got)
			}
		})
	}
}

// knockers dial, send a byte and wait for it to come back, again and again, until ctx
// ends or the listener is gone. lost counts connections that existed and got no answer.
type knockers struct {
	served, lost, away atomic.Int64
	lastLoss           atomic.Value
}

func (k *knockers) run(ctx context.Context, ln net.Listener, host string) {
	for ctx.Err() == nil {
		c, err := dial(ln, host, 150*time.Millisecond)
		if err != nil {
			if errors.Is(err, syscall.ECONNRESET) {
				k.lost.Add(1)
				k.lastLoss.Store(err.Error())
			}
			k.away.Add(1)
			return
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		_, werr := c.Write([]byte("x"))
		_, rerr := io.ReadFull(c, make([]byte, 1))
		c.Close()
		if werr != nil || rerr != nil {
			k.lost.Add(1)
			k.lastLoss.Store(fmt.Sprint(werr, rerr))
			return
		}
		k.served.Add(1)
	}
}

// round closes a listener under load and returns the account of the clients.
func round(t *testing.T, listenAt, dialAt string, k kernel) (*knockers, Result) {
	before := CountCookies()
	ln := listen(t, listenAt)
	var serving, knocking sync.WaitGroup
	joined := make(chan struct{}) // closed by the accept loop when it returns
	go func() {
		defer close(joined)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				io.Copy(c, c)
			})
		}
	}()
	clients := new(knockers)
	ctx, cancel := context.WithCancel(t.Context())
	for range 16 {
		knocking.Go(func() { clients.run(ctx, ln, dialAt) })
	}
	for clients.served.Load() < 200 && clients.lost.Load() == 0 {
		time.Sleep(time.Millisecond) // progress of real sockets: nothing to wait on
	}
	end := closeWith(t.Context(), ln, before, k)
	<-joined
	knocking.Wait()
	cancel()
	serving.Wait()
	return clients, end
}

// Every connection that races with the close is served or was never made.
func TestCloseResetsNothing(t *testing.T) {
	for _, at := range addresses {
		t.Run(at.name, func(t *testing.T) {
			for range rounds(t) {
				clients, end := round(t, at.listen, at.dial, system)
				if got := clients.lost.Load(); got != 0 {
					t.Fatalf("%d lost (%v), %d served; %+v", got, clients.lastLoss.Load(), clients.served.Load(), end)
				}
				if clients.away.Load() == 0 {
					t.Fatal("no client met the closed door: no race was run")
				}
				if !end.Proven {
					t.Errorf("%+v", end)
				}
			}
		})
	}
}

// The test above can fail: with the filter left out it does.
func TestCloseWithoutFilterResets(t *testing.T) {
	bare := system
	bare.attach = func(int) error { return nil }
	bare.handshakes = func(int) (int, error) { return 0, nil }
	bare.acceptQueue = bare.handshakes
	lost := int64(0)
	for range 40 {
		clients, _ := round(t, "127.0.0.1:0", "127.0.0.1", bare)
		if lost += clients.lost.Load(); lost > 0 {
			return
		}
	}
	t.Error("nothing was lost without the filter: the harness does not race")
}

func rounds(t *testing.T) int {
	if testing.Short() {
		return 2
	}
	return 5
}

// Each thing that the kernel may refuse is named, and none of them is called proven.
func TestUnprovenSaysWhy(t *testing.T) {
	refuse := errors.New("refused")
	none := func(int) (int, error) { return 0, nil }
	good := kernel{
		attach:      func(int) error { return nil },
		detach:      func(int) error { return nil },
		barrier:     func() error { return nil },
		acceptQueue: none,
		handshakes:  none,
		cookies:     func() Cookies { return Cookies{7, true} },
	}
	for _, c := range []struct {
		name   string
		change func(*kernel)
		before Cookies
		want   Result
	}{
		{"all well", func(*kernel) {}, Cookies{7, true}, Result{Proven: true}},
		{"no filter", func(k *kernel) { k.attach = func(int) error { return refuse } }, Cookies{7, true},
			Result{Reason: "attach the SYN filter: refused"}},
		{"no membarrier", func(k *kernel) { k.barrier = func() error { return refuse } }, Cookies{7, true},
			Result{Reason: "membarrier: refused"}},
		{"no queue", func(k *kernel) { k.acceptQueue = func(int) (int, error) { return 0, refuse } }, Cookies{7, true},
			Result{Reason: "the accept queue cannot be read"}},
		{"no diag", func(k *kernel) { k.handshakes = func(int) (int, error) { return 0, refuse } }, Cookies{7, true},
			Result{Reason: "handshakes under way cannot be counted"}},
		{"cookies sent", func(*kernel) {}, Cookies{6, true},
			Result{Reason: "SYN cookies were sent: such handshakes are invisible"}},
		{"cookies unknown before", func(*kernel) {}, Cookies{}, Result{Reason: "SYN cookies cannot be counted"}},
		{"cookies unknown now", func(k *kernel) { k.cookies = func() Cookies { return Cookies{} } }, Cookies{7, true},
			Result{Reason: "SYN cookies cannot be counted"}},
		{"left over", func(k *kernel) {
			k.handshakes = func(int) (int, error) { return 2, nil }
			k.acceptQueue = func(int) (int, error) { return 3, nil }
		}, Cookies{7, true}, Result{Reason: "not empty within 200ms", Residue: 5}},
	} {
		k := good
		c.change(&k)
		ln := listen(t, "127.0.0.1:0")
		if got := closeWith(t.Context(), ln, c.before, k); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: the listener is open: %v", c.name, err)
		}
	}
}

// A handshake is counted before the queue: what leaves the first must be seen in the second.
func TestOrderOfTheProof(t *testing.T) {
	var asked []string
	note := func(word string) { asked = append(asked, word) }
	k := kernel{
		attach:      func(int) error { note("attach"); return nil },
		barrier:     func() error { note("barrier"); return nil },
		handshakes:  func(int) (int, error) { note("handshakes"); return 0, nil },
		acceptQueue: func(int) (int, error) { note("queue"); return 0, nil },
		cookies:     func() Cookies { return Cookies{} },
	}
	closeWith(t.Context(), listen(t, "127.0.0.1:0"), Cookies{}, k)
	if got, want := strings.Join(asked, " "), "attach barrier handshakes barrier queue"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestCloseOfOtherListeners(t *testing.T) {
	ln, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := Close(t.Context(), ln, Cookies{}), (Result{Reason: "*net.UnixListener is not a TCP listener"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open: %v", err)
	}
	gone := listen(t, "127.0.0.1:0")
	gone.Close()
	if _, err := Begin(gone, Cookies{}); !errors.Is(err, net.ErrClosed) && !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Begin after Close: %v", err)
	}
	if got := Close(t.Context(), gone, Cookies{}); got.Proven || got.Reason == "" {
		t.Errorf("Close after Close: %+v", got)
	}
}

// A listener as net.Listen makes it may be multipath TCP, on which there is no filter.
func TestMultipathListenerIsUnproven(t *testing.T) {
	lc := net.ListenConfig{}
	lc.SetMultipathTCP(true)
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := Begin(ln.(*net.TCPListener), Cookies{}); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("Begin: %v", err)
	}
}

func TestOutQueue(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	client := mustDial(t, ln, "127.0.0.1")
	server := mustAccept(t, ln)
	raw, err := client.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	// On a busy machine a deadline passes before the first byte is written.
	for queued := 0; queued == 0; {
		client.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := client.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("64 MiB to a reader that does not read: %v", err)
		}
		if queued, err = OutQueue(raw); err != nil || time.Now().After(deadline) {
			t.Fatalf("%d, %v with a full queue", queued, err)
		}
	}
	go io.Copy(io.Discard, server) // ends with server, which the cleanup closes
	deadline = time.Now().Add(10 * time.Second)
	for {
		n, err := OutQueue(raw)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d still queued", n)
		}
		time.Sleep(time.Millisecond) // the kernel gives no notice of this moment
	}
	client.Close()
	if _, err := OutQueue(raw); err == nil {
		t.Error("a closed connection has a queue")
	}
}
