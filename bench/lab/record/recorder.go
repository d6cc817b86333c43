package record

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// keptFailures bounds the failures that are kept in full.
const keptFailures = 20_000

// Conn says on which connection an exchange ran.
type Conn struct {
	Local  string // our address: what the balancer knows the connection by
	Opened time.Time
	Uses   int // exchanges on it, this one included
}

// Exchange is one arrival and what became of it. Its fields are the recorder's.
type Exchange struct {
	ID    string
	Class Class
	Due   time.Time
	Began time.Time // when it really began
	Ended time.Time
	Conn  Conn
	Cause Cause
	Err   string
	// Replica that a failure happened on; empty: not known.
	Replica string
	// Safe says that a client may send it again by itself: a GET, and no byte of its
	// response had come.
	Safe bool
}

// second is what was due in one second, of one class.
type second struct {
	sent, ok int
	failed   [NumCauses]int
	latency  *hdrhistogram.Histogram // of what succeeded; nil: nothing did
}

// Recorder keeps the account.
type Recorder struct {
	began time.Time
	// Refine says what a failure really was and where it happened, for who knows more than its
	// client; nil: nobody does. Set before the load begins. Asked at once, since an address
	// of a client is soon another connection's.
	Refine func(Exchange, Cause) (_ Cause, replica string)

	mu       sync.Mutex // guards what follows
	seconds  [NumClasses][]second
	running  map[*Exchange]struct{}
	failures []Exchange
	lag      *hdrhistogram.Histogram
	open     []int // connections, by second; as last told
	gaps     gaps
	notSent  int    // arrivals that could not be begun at all
	broken   string // why the lab itself is at fault; empty: it is not
}

// gaps finds the longest time without a success, from the beginning to the last one.
type gaps struct {
	last, from time.Time
	longest    time.Duration
}

// New begins an account; began is second 0.
func New(began time.Time) *Recorder {
	return &Recorder{began: began, running: map[*Exchange]struct{}{}, lag: newHistogram(), gaps: gaps{last: began}}
}

// newHistogram counts microseconds, to a minute.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 60_000_000, 2) }

func micros(d time.Duration) int64 { return min(max(d.Microseconds(), 1), 60_000_000) }

// Start is second 0.
func (r *Recorder) Start() time.Time { return r.began }

func (r *Recorder) at(c Class, t time.Time) *second {
	i := int(max(t.Sub(r.began), 0) / time.Second)
	for len(r.seconds[c]) <= i {
		r.seconds[c] = append(r.seconds[c], second{})
	}
	return &r.seconds[c][i]
}

// Begin notes an arrival that is begun now and was due then.
func (r *Recorder) Begin(c Class, id string, due time.Time) *Exchange {
	e := &Exchange{ID: id, Class: c, Due: due, Began: time.Now()}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running[e] = struct{}{}
	r.at(c, due).sent++
	_ = r.lag.RecordValue(micros(e.Began.Sub(due)))
	return e
}

// NotSent notes an arrival that could not be begun: the generator is at its bound.
func (r *Recorder) NotSent() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notSent++
}

// Broken notes that the lab itself failed, so that nothing it says can be believed. The
// first reason is kept.
func (r *Recorder) Broken(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken == "" {
		r.broken = why
	}
}

// Sent says on which connection an exchange runs.
func (r *Recorder) Sent(e *Exchange, c Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Conn = c
}

// End closes the account of an exchange. safe: see Exchange.Safe.
func (r *Recorder) End(e *Exchange, cause Cause, err error, safe bool) {
	now := time.Now()
	where := ""
	if cause != OK && r.Refine != nil {
		cause, where = r.Refine(*e, cause)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, e)
	e.Ended, e.Cause, e.Replica = now, cause, where
	s := r.at(e.Class, e.Due)
	if cause == OK {
		s.ok++
		if s.latency == nil {
			s.latency = newHistogram()
		}
		_ = s.latency.RecordValue(micros(now.Sub(e.Due)))
		if e.Class.Quick() {
			r.gaps.success(now)
		}
		return
	}
	s.failed[cause]++
	e.Safe = safe
	if err != nil {
		e.Err = err.Error()
	}
	if len(r.failures) < keptFailures {
		r.failures = append(r.failures, *e)
	}
}

func (g *gaps) success(now time.Time) {
	if d := now.Sub(g.last); d > g.longest {
		g.longest, g.from = d, g.last
	}
	g.last = now
}

// InFlight lists what has begun, was sent and has not ended, on connections that of chooses
// by our address.
func (r *Recorder) InFlight(of func(local string) bool) (ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := range r.running {
		if e.Conn.Local != "" && of(e.Conn.Local) {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// Open notes how many connections are open now.
func (r *Recorder) Open(n int) {
	i := int(max(time.Since(r.began), 0) / time.Second)
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.open) <= i {
		r.open = append(r.open, n)
	}
	r.open[i] = n
}
