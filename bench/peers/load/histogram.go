package load

import (
	"math/bits"
	"time"
)

// subBits sets the precision of a bucket: 1/64, so a percentile is at most 1.6% too high.
const subBits = 6

// histogram counts durations in buckets that grow with the value. The zero value is ready.
type histogram struct {
	counts [64 << subBits]int64
	total  int64
	max    time.Duration
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))]++
	h.total++
	h.max = max(h.max, d)
}

func bucket(v uint64) int {
	if v < 1<<subBits {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return (shift+1)<<subBits + int(v>>shift) - 1<<subBits
}

// top is the largest value of a bucket.
func top(b int) uint64 {
	if b < 1<<subBits {
		return uint64(b)
	}
	shift := b>>subBits - 1
	return (uint64(b&(1<<subBits-1))+1<<subBits+1)<<shift - 1
}

// quantile is the value that a share q of what was added does not exceed; 0 if nothing was.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := max(int64(q*float64(h.total)+0.999999), 1)
	for b, n := range h.counts {
		if rank -= n; rank <= 0 {
			return min(time.Duration(top(b)), h.max)
		}
	}
	return h.max
}
