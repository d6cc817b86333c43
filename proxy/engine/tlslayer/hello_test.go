package tlslayer

import (
	"crypto/tls"
	"io"
	"testing"
)

// A read that finds nothing leaves no trace in crypto/tls: the loop reads again and again.
func TestReadsAreNotSticky(t *testing.T) {
	w := newWire(make(chan struct{}, 1))
	w.opened()
	c := tls.Server(w, &tls.Config{})
	if err := c.Handshake(); err != error(wouldBlock{}) {
		t.Fatalf("a handshake that finds nothing: %v", err)
	}
	// The handshake remembers it, which is why it has a goroutine; a record layer must not.
	w = newWire(make(chan struct{}, 1))
	w.opened()
	if _, err := w.Read(make([]byte, 1)); err == nil || !err.(interface{ Temporary() bool }).Temporary() {
		t.Errorf("%v is not temporary", err)
	}
	w.end()
	if _, err := w.Read(make([]byte, 1)); err != io.EOF || !w.told {
		t.Errorf("%v at the end", err)
	}
}

// Whatever comes: more bytes never take a verdict back.
func FuzzWhole(f *testing.F) {
	f.Add([]byte{22, 3, 1, 0, 5, 1, 0, 0, 1, 7}, 3)
	f.Add([]byte{22, 3, 1, 0, 2, 1, 0, 22, 3, 1, 0, 3, 0, 1, 7}, 9)
	f.Add([]byte("GET / HTTP/1.1\r\n"), 1)
	f.Fuzz(func(t *testing.T, b []byte, at int) {
		complete, not := whole(b)
		if complete && not {
			t.Fatal("both")
		}
		c, n := whole(b[:min(max(at, 0), len(b))])
		if c && !complete || n && !not && !complete {
			t.Fatalf("%x says complete %v, not TLS %v; %x says %v, %v", b[:at], c, n, b, complete, not)
		}
		if n && !not {
			t.Fatalf("%x is no TLS, but %x is", b[:at], b)
		}
	})
}

func TestWhole(t *testing.T) {
	for _, c := range []struct {
		name          string
		b             []byte
		complete, not bool
	}{
		{"nothing", nil, false, false},
		{"one record", []byte{22, 3, 1, 0, 5, 1, 0, 0, 1, 7}, true, false},
		{"a byte is missing", []byte{22, 3, 1, 0, 5, 1, 0, 0, 1}, false, false},
		{"in two records, split in its header", []byte{22, 3, 1, 0, 2, 1, 0, 22, 3, 1, 0, 3, 0, 1, 7}, true, false},
		{"the second record is missing", []byte{22, 3, 1, 0, 2, 1, 0}, false, false},
		{"no ClientHello", []byte{22, 3, 1, 0, 5, 2, 0, 0, 1, 7}, false, true},
		{"an empty record", []byte{22, 3, 1, 0, 0}, false, true},
		{"an alert", []byte{21, 3, 1, 0, 2, 1, 0}, false, true},
		{"a request", []byte("GET /"), false, true},
		{"too long a record", []byte{22, 3, 1, 0xff, 0xff, 1}, false, true},
	} {
		if complete, not := whole(c.b); complete != c.complete || not != c.not {
			t.Errorf("%s: complete %v, not TLS %v", c.name, complete, not)
		}
	}
}
