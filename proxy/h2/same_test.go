package h2

import (
	"bytes"
	"fmt"
	"testing"
)

// What a connection sends is a function of what it is told, in every process: simulations replay.
func TestOutputIsDeterministic(t *testing.T) {
	say := func() (out []byte) {
		c := New(Config{Client: true}, nil)
		for i := range 50 {
			fields := []Field{{Name: []byte(":method"), Value: []byte("GET")}, {Name: []byte(":scheme"), Value: []byte("http")}, {Name: []byte(":authority"), Value: []byte("a")}, {Name: []byte(":path"), Value: []byte("/")}}
			for j := range 40 {
				fields = append(fields, Field{Name: fmt.Appendf(nil, "x-%d", (i*j)%97), Value: fmt.Appendf(nil, "value %d", (i+j)%61)})
			}
			if _, err := c.Open(fields, true); err != nil {
				t.Fatal(err)
			}
		}
		for c.Wants() {
			out = c.Append(out, 1<<16)
		}
		return out
	}
	if a, b := say(), say(); !bytes.Equal(a, b) {
		t.Errorf("%d and %d bytes that differ", len(a), len(b))
	}
}
