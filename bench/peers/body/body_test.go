package body

import (
	"crypto/sha256"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func whole(p []byte, id ID, n int) []byte {
	return append(id[:min(n, IDLen):min(n, IDLen)], p[IDLen:n]...)
}

func TestEqualSeesEveryByteInEveryCut(t *testing.T) {
	p, id := Pattern(), NewID(0xabc)
	b := whole(p, id, 100)
	for cut := 0; cut <= len(b); cut++ {
		if !Equal(p, b[:cut], 0, &id) || !Equal(p, b[cut:], cut, &id) {
			t.Fatalf("cut at %d: the right bytes are refused", cut)
		}
	}
	for i := range b {
		b[i] ^= 1
		if Equal(p, b, 0, &id) {
			t.Errorf("byte %d is wrong and passes", i)
		}
		b[i] ^= 1
	}
	if other := NewID(0xabd); Equal(p, b, 0, &other) {
		t.Error("the body of another request passes")
	}
}

func TestEqualStreamWraps(t *testing.T) {
	p := Pattern()
	chunk := append(append([]byte{}, p[Max-3:]...), p[:5]...)
	if !EqualStream(p, chunk, 7*Max-3) {
		t.Error("the right bytes are refused across the seam")
	}
	if EqualStream(p, chunk, 7*Max-2) {
		t.Error("shifted bytes pass")
	}
}

func TestSumIsOfTheWholeBody(t *testing.T) {
	p, id := Pattern(), NewID(7)
	if got, want := Sum(p, id, 1024), sha256.Sum256(whole(p, id, 1024)); got != want {
		t.Errorf("sum %x, want %x", got, want)
	}
}

func TestIDsDiffer(t *testing.T) {
	if got := NewID(0x1f); string(got[:]) != "000000000000001f" {
		t.Errorf("NewID(0x1f) = %s", got)
	}
}
