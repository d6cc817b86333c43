package tlslayer_test

import (
	"crypto/tls"
	"io"
	"testing"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Bytes that are no record, after we ended our half: the connection is broken, the process is not.
func TestBrokenRecordBehindOurEnd(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.call(func() {
			r.secured = func(id engine.ConnID, _ engine.Secured) { r.sh.CloseWrite(id) }
		})
		raw := r.dial()
		c := tls.Client(raw, r.client())
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err != nil { // the goodbye
			t.Fatal(err)
		}
		if _, err := raw.Write(append([]byte{23, 3, 3, 0, 32}, make([]byte, 32)...)); err != nil {
			t.Fatal(err)
		}
		if end := await[closed](r); end.Err == nil {
			t.Error("closed in good order")
		}
	})
}

// A small request that crossed with our goodbye is lost, too, if its client leaves without one.
func TestSmallRequestIsDiscarded(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.call(func() {
			r.secured = func(id engine.ConnID, _ engine.Secured) { r.sh.Close(id, patience) }
		})
		raw := r.dial()
		c := tls.Client(raw, r.client())
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost:a\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		raw.Close()
		if end := await[closed](r); end.Discarded == 0 {
			t.Errorf("nothing is lost: %+v", end)
		}
	})
}

// A goodbye that finds its client gone is no byte of the handler's that did not arrive.
func TestGoodbyeToNobodyIsNoLoss(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.call(func() {
			r.eof = func(id engine.ConnID) { r.sh.Close(id, patience) }
		})
		raw := r.dial()
		c := tls.Client(raw, r.client())
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		raw.Close()
		if end := await[closed](r); end.Unsent != 0 {
			t.Errorf("%+v", end)
		}
	})
}
