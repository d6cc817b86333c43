package load

import (
	"testing"
	"time"
)

func TestQuantilesAreAtMostABucketTooHigh(t *testing.T) {
	var h histogram
	const n = 100_000
	for i := 1; i <= n; i++ {
		h.add(time.Duration(i) * time.Microsecond)
	}
	for _, q := range []float64{.001, .5, .99, .999, 1} {
		exact := time.Duration(q*n) * time.Microsecond
		if got := h.quantile(q); got < exact || float64(got) > 1.017*float64(exact) {
			t.Errorf("quantile %v = %v, exact %v", q, got, exact)
		}
	}
	if h.max != n*time.Microsecond {
		t.Errorf("max %v", h.max)
	}
}

func TestBucketsHoldTheirValues(t *testing.T) {
	for _, v := range []uint64{0, 1, 63, 64, 65, 127, 128, 129, 1 << 20, 1<<63 - 1} {
		b := bucket(v)
		if top(b) < v || b > 0 && top(b-1) >= v {
			t.Errorf("%d is in bucket %d, which ends at %d", v, b, top(b))
		}
	}
}

func TestEmptyHistogram(t *testing.T) {
	var h histogram
	if got := h.quantile(.99); got != 0 {
		t.Errorf("%v", got)
	}
	h.add(-5)
	if h.total != 1 || h.max != 0 {
		t.Errorf("a negative duration: %d counted, max %v", h.total, h.max)
	}
}
