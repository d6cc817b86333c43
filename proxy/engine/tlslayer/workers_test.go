package tlslayer_test

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine/tlslayer"
)

// Workers whose handshake is over run the next ones, and of many no more stay than are wanted.
func TestWorkersRest(t *testing.T) {
	hello := clientHello(t)
	onEach(t, func(t *testing.T, r *rig) {
		var stalled []net.Conn
		stall := func(n int) {
			t.Helper()
			for range n {
				c := r.dial()
				if _, err := c.Write(hello); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(c, make([]byte, 5)); err != nil { // ServerHello: its worker waits
					t.Fatal(err)
				}
				stalled = append(stalled, c)
			}
		}
		leave := func() {
			for _, c := range stalled {
				c.Close()
			}
			stalled = nil
		}
		const few = 3
		stall(few)
		leave()
		workersAre(t, r, few, few)
		stall(1)
		workersAre(t, r, few, few-1)
		stall(tlslayer.MaxResting + few)
		leave()
		workersAre(t, r, tlslayer.MaxResting, tlslayer.MaxResting)
		r.dialTLS(r.client())
	})
}

// workersAre waits until there are so many, of which so many rest.
func workersAre(t *testing.T, r *rig, all, resting int) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		n := bytes.Count(stacks[:runtime.Stack(stacks, true)], []byte("tlslayer.(*Driver).work("))
		if n == all && r.d.Resting() == resting {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d workers, of which %d rest; want %d and %d", n, r.d.Resting(), all, resting)
		}
	}
}
