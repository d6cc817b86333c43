package portable_test

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/portable"
)

// farewell answers what comes, and closes.
type farewell struct {
	echo
	unsent, ended atomic.Int64
}

func (f *farewell) Received(id engine.ConnID, b []byte) {
	f.sh.Send(id, b)
	f.sh.Close(id, time.Second)
}

func (f *farewell) Closed(_ engine.ConnID, end engine.End) {
	if end.Unsent > 0 {
		f.unsent.Add(1)
	}
	f.ended.Add(1)
}

// TestAResetThatCrossesOurFIN: a client that has the whole answer resets while our FIN is on its way. The kernel counts a FIN that was
// not acknowledged as a byte; it is none that anybody lacks.
func TestAResetThatCrossesOurFIN(t *testing.T) {
	f := &farewell{}
	d := portable.New(portable.Config{Shards: 1})
	d.Start(func(sh engine.Shard) engine.Handler { f.sh = sh; return f })
	t.Cleanup(d.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Listen(0, ln); err != nil {
		t.Fatal(err)
	}
	const rounds = 3000
	answer := make([]byte, 5)
	for range rounds {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.(*net.TCPConn).SetLinger(0) // Close is a reset
		if _, err := io.WriteString(nc, "hello"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(nc, answer); err != nil {
			t.Fatal(err)
		}
		_ = nc.Close()
	}
	for late := time.Now().Add(time.Minute); f.ended.Load() < rounds; {
		if time.Now().After(late) {
			t.Fatalf("%d of %d connections ended", f.ended.Load(), rounds)
		}
		time.Sleep(time.Millisecond)
	}
	if n := f.unsent.Load(); n > 0 {
		t.Errorf("of %d answers that arrived, %d are told to lack something", rounds, n)
	}
}
