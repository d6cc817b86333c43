//go:build linux

package epoll

import (
	"bytes"
	"testing"
)

// A buffer that grows piece by piece goes through the sizes that are kept, and the memory of one is there for the next.
func TestBuffersGrowByKeptSizes(t *testing.T) {
	var p buffers
	piece := bytes.Repeat([]byte("x"), 1000)
	fill := func() {
		b := p.get(len(piece))
		for len(b) < 100_000 {
			b = append(p.room(b, len(piece)), piece...)
		}
		if !bytes.Equal(b, bytes.Repeat(piece, len(b)/len(piece))) {
			t.Fatal("the content changed")
		}
		p.put(b)
	}
	fill()
	if len(p.small) != 1 || len(p.medium) != 1 || len(p.large) != 1 {
		t.Errorf("%d small, %d medium, %d large are kept, want one each", len(p.small), len(p.medium), len(p.large))
	}
	if n := testing.AllocsPerRun(20, func() {
		b := p.get(1)
		for len(b) < 100_000 {
			b = append(p.room(b, len(piece)), piece...)
		}
		p.put(b)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
