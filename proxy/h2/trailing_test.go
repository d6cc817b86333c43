package h2

import "testing"

func TestTrailing(t *testing.T) {
	of := func(types ...frameType) (out []byte) {
		for _, typ := range types {
			out = append(appendFrame(out, frame{length: 4, typ: typ}), "four"...)
		}
		return out
	}
	const each = headerLen + 4
	for _, tt := range []struct {
		out   []byte
		n     int
		whole bool
	}{
		{nil, 0, true},
		{of(framePing, frameGoAway), 2 * each, true},
		{of(frameWindow, frameData), 0, false},
		{of(frameHeaders, frameContinuation, frameSettings, framePing), 2 * each, false},
		{of(frameReset, frameGoAway), each, false},
		{of(frameGoAway)[:each-1], each - 1, true}, // a piece, which Append does not give
	} {
		if n, whole := Trailing(tt.out); n != tt.n || whole != tt.whole {
			t.Errorf("%x: %d, %v; want %d, %v", tt.out, n, whole, tt.n, tt.whole)
		}
	}
}
