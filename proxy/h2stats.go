package proxy

import (
	"slices"
	"sync/atomic"

	"github.com/sluiceproxy/sluice/proxy/h2"
)

// h2Reasons is the closed set of reasons, in one order.
var h2Reasons = h2.Reasons()

// reasonCounts are counters by reason; written by one loop, read by anybody. The zero value is ready.
type reasonCounts struct {
	n [64]atomic.Uint64
}

func (r *reasonCounts) count(why h2.Reason) {
	if i := slices.Index(h2Reasons, why); i >= 0 {
		r.n[i].Add(1)
	}
}

// addTo adds what was counted to a reading.
func (r *reasonCounts) addTo(m map[string]uint64) {
	for i, why := range h2Reasons {
		m[string(why)] += r.n[i].Load()
	}
}
