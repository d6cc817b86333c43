package record

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Total is what a class, or a second of it, came to.
type Total struct {
	Sent, OK int
	Failed   [NumCauses]int
	Latency  *hdrhistogram.Histogram // of what succeeded, microseconds from when it was due; never nil
}

// Lost is the number that was sent and not answered in full.
func (t Total) Lost() (n int) {
	for c, k := range t.Failed {
		if Cause(c).Lost() {
			n += k
		}
	}
	return n
}

// Refused is the number that found no door.
func (t Total) Refused() int { return t.Failed[Refused] + t.Failed[NoReplica] }

// Add adds another total.
func (t *Total) Add(o Total) {
	t.Sent, t.OK = t.Sent+o.Sent, t.OK+o.OK
	for c := range o.Failed {
		t.Failed[c] += o.Failed[c]
	}
	if t.Latency == nil {
		t.Latency = newHistogram()
	}
	if o.Latency != nil {
		t.Latency.Merge(o.Latency)
	}
}

// Quantile is a latency in the order of q, 0 to 100; 0 if nothing succeeded.
func (t Total) Quantile(q float64) time.Duration {
	if t.Latency == nil || t.Latency.TotalCount() == 0 {
		return 0
	}
	return time.Duration(t.Latency.ValueAtQuantile(q)) * time.Microsecond
}

// Summary is an account at one moment.
type Summary struct {
	Began    time.Time
	Classes  [NumClasses]Total
	Seconds  [][NumClasses]Total // by the second in which they were due
	Open     []int               // connections, by second
	Failures []Exchange
	Running  int
	Gap      time.Duration // the longest time without a success of a quick class
	GapFrom  time.Time
	NotSent  int
	Broken   string // see Recorder.Broken
	Lag      Lag
}

// All is every class together.
func (s *Summary) All() (t Total) {
	for _, c := range s.Classes {
		t.Add(c)
	}
	return t
}

// Lag is how late the generator was.
type Lag struct{ histogram *hdrhistogram.Histogram }

// Quantile of how late arrivals began, q from 0 to 100.
func (l Lag) Quantile(q float64) time.Duration {
	return time.Duration(l.histogram.ValueAtQuantile(q)) * time.Microsecond
}

// Late is the share of arrivals that began more than so long after they were due.
func (l Lag) Late(after time.Duration) float64 {
	late := int64(0)
	for _, b := range l.histogram.Distribution() {
		if b.From > after.Microseconds() {
			late += b.Count
		}
	}
	return float64(late) / float64(max(l.histogram.TotalCount(), 1))
}

// Sum reads the account. It may be called while the load runs.
func (r *Recorder) Sum() *Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &Summary{Began: r.began, Running: len(r.running), Gap: r.gaps.longest, GapFrom: r.gaps.from, NotSent: r.notSent, Broken: r.broken}
	s.Failures = append(s.Failures, r.failures...)
	s.Open = append(s.Open, r.open...)
	for c := range r.seconds {
		s.Classes[c].Latency = newHistogram()
		for i, sec := range r.seconds[c] {
			for len(s.Seconds) <= i {
				s.Seconds = append(s.Seconds, [NumClasses]Total{})
			}
			one := Total{Sent: sec.sent, OK: sec.ok, Failed: sec.failed}
			s.Classes[c].Add(one)
			if sec.latency != nil {
				one.Latency = newHistogram()
				one.Latency.Merge(sec.latency)
				s.Classes[c].Latency.Merge(sec.latency)
			}
			s.Seconds[i][c] = one
		}
	}
	s.Lag = Lag{newHistogram()}
	s.Lag.histogram.Merge(r.lag)
	return s
}

// Now is what a live view wants, and cheaper than Sum: the totals so far.
type Now struct {
	Sent, OK, Lost, Refused, Running int
	Gap                              time.Duration
	P50, P99                         time.Duration // of the last seconds, quick classes
}

// lately is how many seconds the latencies of Now are of.
const lately = 3

// Now reads the totals so far.
func (r *Recorder) Now() (n Now) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n.Running, n.Gap = len(r.running), r.gaps.longest
	recent := Total{Latency: newHistogram()}
	for c := range r.seconds {
		for i, s := range r.seconds[c] {
			n.Sent, n.OK = n.Sent+s.sent, n.OK+s.ok
			t := Total{Failed: s.failed}
			n.Lost, n.Refused = n.Lost+t.Lost(), n.Refused+t.Refused()
			if s.latency != nil && i >= len(r.seconds[c])-lately && Class(c).Quick() {
				recent.Latency.Merge(s.latency)
			}
		}
	}
	n.P50, n.P99 = recent.Quantile(50), recent.Quantile(99)
	return n
}
