//go:build linux

package epoll_test

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/epoll"
)

const patience = 20 * time.Second

// counting counts the connections of its shard.
type counting struct {
	echo
	n *atomic.Int64
}

func (c *counting) Accepted(engine.ConnID, int, engine.Peer) { c.n.Add(1) }

// eventually waits for a condition that other goroutines bring about.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// Connections spread over the loops, whichever the kernel wakes.
func TestAcceptedSpreadOverLoops(t *testing.T) {
	const shards, conns = 3, 90
	var n [shards]atomic.Int64
	ln := listening(t, epoll.Config{Shards: shards}, func(sh engine.Shard) engine.Handler {
		return &counting{echo{sh}, &n[sh.Index()]}
	})
	for i := range conns {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		eventually(t, "every connection is greeted", func() bool { return n[0].Load()+n[1].Load()+n[2].Load() == int64(i+1) })
	}
	for i := range n {
		if got := n[i].Load(); got < conns/shards-5 || got > conns/shards+5 {
			t.Errorf("loop %d has %d of %d connections", i, got, conns)
		}
	}
}

// With no descriptor left, accepting backs off, the listener stays, and whoever waits in the
// queue is served once there are descriptors again.
func TestAcceptSurvivesEMFILE(t *testing.T) {
	const clients = 8
	var n, told atomic.Int64
	ln := listening(t, epoll.Config{Shards: 2, AcceptError: func(index int, err error) {
		if index != 0 || !errors.Is(err, syscall.EMFILE) {
			t.Errorf("AcceptError(%d, %v)", index, err)
		}
		told.Add(1)
	}}, func(sh engine.Shard) engine.Handler { return &counting{echo{sh}, &n} })
	addr := &unix.SockaddrInet4{Port: ln.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}
	var fds []int
	for range clients {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		fds = append(fds, fd)
	}
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	// One descriptor costs an accept that comes too early; the clients have the highest ones.
	next, err := unix.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(next)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(next), Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
	}
	defer restore()
	for _, fd := range fds {
		if err := unix.Connect(fd, addr); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "accepting fails several times", func() bool { return told.Load() >= 6 })
	if got := n.Load(); got != 0 {
		t.Fatalf("%d accepted without a descriptor", got)
	}
	restore()
	eventually(t, "everybody is greeted", func() bool { return n.Load() == clients })
}
