package sim

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// Epoch is where the clock of every simulation starts.
var Epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// Net is the network with its clock and scheduler.
type Net struct {
	Rand   *rand.Rand
	now    time.Time
	queue  events
	seq    uint64
	events int

	listeners map[string]*Listener
	socks     int // open socket ends

	// Shape of the network. Set before the run.
	MinDelay, MaxDelay time.Duration
	Window             int // bytes that one direction takes before its writer must wait

	// Counts of what was injected or happened, by name: the fault histogram.
	Count map[string]int
}

// New makes a network. The same seed gives the same run.
func New(seed uint64) *Net {
	return &Net{
		Rand: rand.New(rand.NewPCG(seed, 0x5eed)), now: Epoch, listeners: map[string]*Listener{},
		MinDelay: 20 * time.Microsecond, MaxDelay: 3 * time.Millisecond, Window: 64 << 10, Count: map[string]int{},
	}
}

// Now is the simulated time.
func (n *Net) Now() time.Time { return n.now }

// Events is how many events have happened.
func (n *Net) Events() int { return n.events }

// Open is the number of socket ends that are still open: 0 when nothing leaked.
func (n *Net) Open() int { return n.socks }

// After runs f once after d. The result prevents it, and says whether it did.
func (n *Net) After(d time.Duration, f func()) (stop func() bool) {
	n.seq++
	e := &event{at: n.now.Add(max(d, 0)), seq: n.seq, f: f}
	heap.Push(&n.queue, e)
	return func() bool {
		live := e.f != nil
		e.f = nil
		return live
	}
}

// Step lets the next event happen; false if there is none.
func (n *Net) Step() bool {
	for len(n.queue) > 0 {
		e := heap.Pop(&n.queue).(*event)
		if e.f == nil {
			continue
		}
		n.now = e.at
		f := e.f
		e.f = nil
		n.events++
		f()
		return true
	}
	return false
}

// Run steps until done says so, nothing is left, or limit of simulated time passed.
func (n *Net) Run(limit time.Duration, done func() bool) bool {
	end := n.now.Add(limit)
	for !done() {
		if n.now.After(end) || !n.Step() {
			return done()
		}
	}
	return true
}

// delay is one way through the network.
func (n *Net) delay() time.Duration {
	return n.MinDelay + time.Duration(n.Rand.Int64N(int64(n.MaxDelay-n.MinDelay)+1))
}

// Chance is true with probability p.
func (n *Net) Chance(p float64) bool { return n.Rand.Float64() < p }

// Between is a duration in [lo, hi), lo if that is empty.
func (n *Net) Between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(n.Rand.Int64N(max(int64(hi-lo), 1)))
}

type event struct {
	at  time.Time
	seq uint64
	f   func() // nil: cancelled
}

// events orders by time, then by age.
type events []*event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].seq < q[j].seq
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(*event)) }
func (q *events) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return e
}
