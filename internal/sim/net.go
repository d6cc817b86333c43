package sim

import (
	"math/rand/v2"
	"time"
)

// Epoch is where the clock of every simulation starts.
var Epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// Net is the network with its clock and scheduler.
type Net struct {
	Rand   *rand.Rand
	at     int64     // the time, in nanoseconds since Epoch
	now    time.Time // the same
	queue  schedule
	events int
	dials  uint64 // numbers the addresses of dialers

	listeners map[string]*Listener
	socks     int      // open socket ends
	segments  [][]byte // free memory of packets

	// Shape of the network. Set before the run.
	MinDelay, MaxDelay time.Duration
	Window             int // bytes that one direction takes before its writer must wait

	// Tap sees every Write of a living socket, before it has any effect; nil: nobody looks.
	Tap func(s *Sock, b []byte)

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

// segment is memory for the data of a packet.
func (n *Net) segment() []byte {
	if k := len(n.segments); k > 0 {
		b := n.segments[k-1]
		n.segments = n.segments[:k-1]
		return b
	}
	return make([]byte, 0, 1024)
}

// Chance is true with probability p.
func (n *Net) Chance(p float64) bool { return n.Rand.Float64() < p }

// Between is a duration in [lo, hi), lo if that is empty.
func (n *Net) Between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(n.Rand.Int64N(max(int64(hi-lo), 1)))
}
