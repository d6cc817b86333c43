package tlslayer_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine/tlslayer"
)

// Of many workers that ended at once as many stay as are wanted, and run what comes next.
func TestWorkersRest(t *testing.T) {
	hello := clientHello(t)
	onEach(t, func(t *testing.T, r *rig) {
		var stalled []net.Conn
		for range tlslayer.MaxResting + 9 {
			c := r.dial()
			if _, err := c.Write(hello); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, 5)); err != nil { // ServerHello: its worker waits
				t.Fatal(err)
			}
			stalled = append(stalled, c)
		}
		if n := r.d.Resting(); n != 0 {
			t.Errorf("%d workers rest while all have something to do", n)
		}
		for _, c := range stalled {
			c.Close()
		}
		rests := func(n int) {
			t.Helper()
			for end := time.Now().Add(patience); r.d.Resting() != n; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%d workers rest, want %d", r.d.Resting(), n)
				}
			}
		}
		rests(tlslayer.MaxResting)
		c := r.dial()
		if _, err := c.Write(hello); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		rests(tlslayer.MaxResting - 1) // one of them has it
		r.dialTLS(r.client())
	})
}
