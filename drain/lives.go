package drain

import (
	"sync/atomic"
	"time"
)

// Lives counts how long exchanges and tunnels of a route lasted until they ended by
// themselves. From that, and from how long one has lasted already, follows how likely it
// is to end in time. The zero value is ready to use; it is safe for concurrent use.
type Lives struct {
	exchanges, tunnels atomic.Pointer[spans] // nil: none ended yet
}

// spans counts durations by bucket; the last one has no upper bound.
type spans [numBounds + 1]atomic.Uint32

const numBounds = 21

// spanBound is the upper bound of a bucket, in milliseconds.
var spanBound = [numBounds]int64{
	100, 250, 500, 1_000, 2_000, 3_000, 5_000, 7_500, 10_000, 15_000, 20_000,
	30_000, 45_000, 60_000, 90_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 14_400_000,
}

// sampled is of how many quick exchanges one is counted, for all of them: most traffic is
// quick, and a counter that all loops share for each request would cost more than it tells.
const sampled = 16

// minLives is how many must have lasted as long as the one in question for an opinion on it.
const minLives = 20

// weight is for how many one that ended counts; 0: it is left out. nth tells exchanges
// apart.
func weight(class Class, d time.Duration, nth uint64) uint32 {
	switch {
	case class == Tunnel, class == Active && d.Milliseconds() > spanBound[0]:
		return 1
	case class == Active && nth%sampled == 0:
		return sampled
	}
	return 0
}

// count counts n that ended.
func (l *Lives) count(class Class, d time.Duration, n uint32) {
	ms, at := d.Milliseconds(), &l.exchanges
	if class == Tunnel {
		at = &l.tunnels
	}
	s := at.Load()
	if s == nil {
		s = new(spans)
		if !at.CompareAndSwap(nil, s) {
			s = at.Load()
		}
	}
	i := 0
	for i < numBounds && ms > spanBound[i] {
		i++
	}
	s[i].Add(n)
}

// Observe counts one of a known length, as the tracker does by itself for its connections:
// for a Lives that is to begin with what is known from elsewhere. class is Active or Tunnel.
func (l *Lives) Observe(class Class, d time.Duration) { l.count(class, d, 1) }

// left is a survival function at one moment: how many of those counted lasted longer than
// a bound, bound by bucket.
type left struct {
	over [numBounds + 1]float64 // over[i]: longer than the lower bound of bucket i
}

// read copies the counts of a class. ok is false if there are none.
func (l *Lives) read(class Class) (r left, ok bool) {
	if l == nil {
		return r, false
	}
	s := l.exchanges.Load()
	if class == Tunnel {
		s = l.tunnels.Load()
	}
	if s == nil {
		return r, false
	}
	sum := 0.0
	for i := len(s) - 1; i >= 0; i-- {
		sum += float64(s[i].Load())
		r.over[i] = sum
	}
	return r, sum > 0
}

// at is how many lasted longer than d: within a bucket as if they ended evenly.
func (r *left) at(d time.Duration) float64 {
	ms := d.Milliseconds()
	lower := int64(0)
	for i, upper := range spanBound {
		if ms < upper {
			return r.over[i] - (r.over[i]-r.over[i+1])*float64(ms-lower)/float64(upper-lower)
		}
		lower = upper
	}
	return r.over[numBounds]
}

// survives is the chance that one of age lasts more longer, by what lasted at least as
// long as it. known is false if too few did: then nothing is said.
func (r *left) survives(age, more time.Duration) (p float64, known bool) {
	base := r.at(age)
	if base < minLives {
		return 0, false
	}
	return min(1, r.at(age+more)/base), true
}

// rest is how much longer half of those of that age lasted; known is false where that lies
// beyond what was observed.
func (r *left) rest(age time.Duration) (d time.Duration, known bool) {
	base := r.at(age)
	if base < minLives {
		return 0, false
	}
	half := base / 2
	lower := int64(0)
	for i, upper := range spanBound {
		if r.over[i+1] <= half && r.over[i] > r.over[i+1] {
			ms := float64(lower) + (r.over[i]-half)/(r.over[i]-r.over[i+1])*float64(upper-lower)
			return max(0, time.Duration(ms)*time.Millisecond-age), true
		}
		lower = upper
	}
	return 0, false
}
