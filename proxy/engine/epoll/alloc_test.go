//go:build linux

package epoll_test

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/epoll"
)

// echo sends back what comes and keeps a timer going, as a proxy does.
type echo struct{ sh engine.Shard }

func (e *echo) Accepted(engine.ConnID, int, engine.Peer) {}
func (e *echo) Dialed(engine.ConnID, error)              {}
func (e *echo) Received(id engine.ConnID, b []byte) {
	e.sh.Arm(id, engine.TimerRead, time.Minute)
	e.sh.Send(id, b)
}
func (e *echo) EOF(id engine.ConnID)                      { e.sh.Close(id, time.Second) }
func (e *echo) Sent(engine.ConnID)                        {}
func (e *echo) Moved(_, _ engine.ConnID, _ int64, _ bool) {}
func (e *echo) Closed(engine.ConnID, engine.End)          {}
func (e *echo) Fired(engine.ConnID, engine.Timer)         {}
func (e *echo) Answer(engine.ConnID, any)                 {}
func (e *echo) Notice(any)                                {}

// listening runs a driver of the given handler on a loopback listener.
func listening(tb testing.TB, cfg epoll.Config, newHandler func(engine.Shard) engine.Handler) net.Listener {
	tb.Helper()
	d, err := epoll.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	d.Start(newHandler)
	tb.Cleanup(d.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	if err := d.Listen(0, ln); err != nil {
		tb.Fatal(err)
	}
	return ln
}

func dialEcho(tb testing.TB) net.Conn {
	tb.Helper()
	ln := listening(tb, epoll.Config{Shards: 1}, func(sh engine.Shard) engine.Handler { return &echo{sh} })
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { nc.Close() })
	return nc
}

// roundTrips sends message and reads it back, n times.
func roundTrips(tb testing.TB, nc net.Conn, message, buf []byte, n int) {
	for range n {
		if _, err := nc.Write(message); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.ReadFull(nc, buf[:len(message)]); err != nil {
			tb.Fatal(err)
		}
	}
}

// A round trip allocates nothing: gathered, sent at once, or more than the kernel takes.
func TestRoundTripAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	nc := dialEcho(t)
	for _, size := range []int{100, 20_000, 300_000} {
		message, buf := bytes.Repeat([]byte("x"), size), make([]byte, size)
		roundTrips(t, nc, message, buf, 500)
		before := objects()
		const n = 3000
		roundTrips(t, nc, message, buf, n)
		if got := objects() - before; got > n/20 {
			t.Errorf("%d bytes: %d objects for %d round trips", size, got, n)
		}
	}
}

// objects is how many were ever allocated. They are counted when their span goes back, at
// the latest in a collection.
func objects() uint64 {
	runtime.GC()
	s := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func BenchmarkRoundTrip(b *testing.B) {
	nc := dialEcho(b)
	message, buf := bytes.Repeat([]byte("x"), 1024), make([]byte, 1024)
	roundTrips(b, nc, message, buf, 100)
	b.ReportAllocs()
	b.SetBytes(int64(len(message)))
	for b.Loop() {
		roundTrips(b, nc, message, buf, 1)
	}
}

// carrier moves so many bytes from the first connection to the second, each time it is told to.
type carrier struct {
	echo
	ids  []engine.ConnID
	size int64
	word [1]byte
}

func (c *carrier) Accepted(id engine.ConnID, _ int, _ engine.Peer) { c.ids = append(c.ids, id) }
func (c *carrier) Received(id engine.ConnID, _ []byte) {
	if !c.sh.Move(c.ids[1], c.ids[0], c.size) {
		panic("no Move")
	}
	c.sh.Send(id, c.word[:])
}

// A Move allocates nothing, be it as large as a pipe or not.
func TestMoveAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const size = 200_000
	ln := listening(t, epoll.Config{Shards: 1}, func(sh engine.Shard) engine.Handler {
		return &carrier{echo: echo{sh}, size: size}
	})
	var ends [2]net.Conn
	for i := range ends {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		ends[i] = nc
	}
	payload, buf, told, word := make([]byte, size), make([]byte, size), make([]byte, 1), []byte(">")
	round := func(n int) {
		for range n {
			roundTrips(t, ends[0], word, told, 1)
			if _, err := ends[0].Write(payload); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(ends[1], buf); err != nil {
				t.Fatal(err)
			}
		}
	}
	round(500)
	before := objects()
	const n = 1000
	round(n)
	if got := objects() - before; got > n/20 {
		t.Errorf("%d objects for %d Moves of %d bytes", got, n, size)
	}
}
