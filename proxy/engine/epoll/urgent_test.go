//go:build linux

package epoll_test

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/epoll"
)

// joining carries what the first connection sends to the second, from when that one comes.
type joining struct {
	echo
	move       bool
	first, two engine.ConnID
}

func (j *joining) Accepted(id engine.ConnID, _ int, _ engine.Peer) {
	if j.first == 0 {
		j.first = id
		j.sh.Pause(id)
		return
	}
	j.two = id
	if j.move && !j.sh.Move(id, j.first, -1) {
		panic("Move is refused")
	}
	j.sh.Resume(j.first)
}

func (j *joining) EOF(engine.ConnID) {}

func (j *joining) Received(_ engine.ConnID, b []byte) {
	if j.move {
		panic("Received during a Move until EOF")
	}
	j.sh.Send(j.two, b)
}

// A read ends before urgent data (tcp(7)), and a splice does not get past them at all: neither
// means that nothing is left, and no edge will tell of what stands behind. The urgent byte
// itself is not part of the stream.
func TestWhatFollowsUrgentDataArrives(t *testing.T) {
	for _, c := range []struct {
		name      string
		move, fin bool
	}{{"read", false, false}, {"read, then FIN", false, true}, {"moved", true, false}, {"moved, then FIN", true, true}} {
		t.Run(c.name, func(t *testing.T) {
			ln := listening(t, epoll.Config{Shards: 1}, func(sh engine.Shard) engine.Handler {
				return &joining{echo: echo{sh}, move: c.move}
			})
			src := dialed(t, ln)
			raw, err := src.(*net.TCPConn).SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			send := func(b string, flags int) {
				if err := raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), []byte(b), flags, nil) }); err != nil {
					t.Fatal(err)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			send("before", 0)
			send("!", unix.MSG_OOB)
			send("behind", 0)
			if c.fin {
				_ = src.(*net.TCPConn).CloseWrite()
			}
			dst := dialed(t, ln)
			_ = dst.SetReadDeadline(time.Now().Add(patience))
			got := make([]byte, len("beforebehind"))
			if n, err := io.ReadFull(dst, got); err != nil || string(got) != "beforebehind" {
				t.Errorf("%q, %v", got[:n], err)
			}
		})
	}
}

func dialed(t *testing.T, ln net.Listener) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}
