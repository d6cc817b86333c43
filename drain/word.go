package drain

import "time"

// word is the part of a handle that changes with every request, in one atomic word:
//
//	 63            30 29            3 2     0
//	┌────────────────┬───────────────┬───────┐
//	│ since, 34 bits │ started, 27   │ class │
//	└────────────────┴───────────────┴───────┘
//
// since is in milliseconds since the tracker was made, rounded up, and started counts
// the exchanges begun. Both wrap (after 198 days and 134 million exchanges) and are
// only ever subtracted, modulo their width: a connection that idles for 198 days, or
// begins so many exchanges within one phase of a drain, is the documented limit.
//
// Only the owner of the handle writes it; everybody may read it.
type word uint64

const (
	classBits   = 3
	startedBits = 27
	sinceBits   = 34

	classMask   = 1<<classBits - 1
	startedMask = 1<<startedBits - 1
	sinceMask   = 1<<sinceBits - 1

	// slack is how far, in milliseconds, since may lie after now: another goroutine may
	// have read its clock a moment later.
	slack = 60_000
)

func makeWord(c Class, started uint32, since uint64) word {
	return word(since&sinceMask)<<(classBits+startedBits) |
		word(started&startedMask)<<classBits | word(c)
}

func (w word) class() Class    { return Class(w & classMask) }
func (w word) started() uint32 { return uint32(w>>classBits) & startedMask }
func (w word) since() uint64   { return uint64(w >> (classBits + startedBits)) }

// finished is how many exchanges have ended.
func (w word) finished() uint32 {
	if w.class() == Active {
		return (w.started() - 1) & startedMask
	}
	return w.started()
}

// lasted is how long the class has lasted at tick now; 0 if it began "after" now,
// which rounding up and two clocks make possible.
func (w word) lasted(now uint64) time.Duration {
	d := (now - w.since()) & sinceMask
	if d > sinceMask-slack {
		return 0
	}
	return time.Duration(d) * time.Millisecond
}

// exchangesBetween is b-a modulo the width of the counter.
func exchangesBetween(a, b uint32) int { return int((b - a) & startedMask) }
