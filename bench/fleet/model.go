package fleet

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"
)

// Model is a fleet, its policy, and how often that changes.
type Model struct {
	Replicas int
	Routes   int
	Objects  int           // that the routes are split into, evenly
	Every    time.Duration // between two changes, each of one object
	For      time.Duration // how long changes come (default 60s)
	Recall   bool          // a replica keeps the objects of its last version, and fetches what changed
	HeadOnly bool          // what a watch brings is the hint alone, and not the head
	Costs    Costs
	Seed     uint64
}

// Costs are the constants.
type Costs struct {
	RouteBytes   int           // of one route with its rules, in an object
	EntryBytes   int           // of one object, in a head
	Compile      time.Duration // of one route: parse, check, compile
	Read         time.Duration // the store answers a linearizable read, without its bytes
	Hint         time.Duration // from the write of the head to the hint at a replica
	StoreBytes   float64       // that the store sends in a second, to all replicas together
	PresenceTTL  time.Duration // fleet.ttl
	PresenceSize int           // bytes of one registration
}

// Stated are the constants that are not measured by TestFigures: the answer times of three etcd servers on loopback
// (1.3 ms a linearizable read; a watch brings a change in about as long), and a link of 10 Gbit/s at the store.
func Stated() Costs {
	return Costs{Read: 1300 * time.Microsecond, Hint: 1300 * time.Microsecond, StoreBytes: 10e9 / 8, PresenceTTL: 15 * time.Second, PresenceSize: 600}
}

// Result is what it comes to, of the time in which changes come.
type Result struct {
	BytesPerSecond float64       // that the store sends for the policy
	ReadsPerSecond float64       // that it answers for the policy
	WritesPresence float64       // of registrations, and renewals of leases, in a second
	HeadBytes      int           // of one head
	ObjectBytes    int           // of one object
	InForce50      time.Duration // from a publication until half of all replicas have it, or a later one, in force: the median over versions
	InForce99      time.Duration // the same of 99 %
	Round          time.Duration // of one replica, the mean
	Applied        float64       // share of the versions that a replica compiled: the rest were overtaken
	Behind         bool          // the store cannot send what is asked for: the times grow for as long as it goes on
}

// replica is one process in the simulation.
type replica struct {
	busy    bool
	dirty   bool // a hint came meanwhile
	version int  // in force
	reads   int  // version of the round that runs
	began   time.Duration
}

type event struct {
	at   time.Duration
	do   func()
	turn int // of two at the same time, the one that was planned first
}

type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].turn < q[j].turn
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

// world is a simulation under way.
type world struct {
	m        Model
	rng      *rand.Rand
	now      time.Duration
	queue    queue
	turn     int
	head     int             // newest version
	at       []time.Duration // of each publication
	replicas []replica
	applied  [][]time.Duration // of each version: when each replica had it, or a later one
	pipe     time.Duration     // until when the store sends what it has to
	result   Result
	rounds   int
	spent    time.Duration
}

// Simulate runs a model.
func Simulate(m Model) Result {
	if m.For == 0 {
		m.For = time.Minute
	}
	w := &world{m: m, rng: rand.New(rand.NewPCG(m.Seed, 7)), replicas: make([]replica, m.Replicas)}
	w.result.HeadBytes = 200 + m.Objects*m.Costs.EntryBytes
	w.result.ObjectBytes = m.Routes * m.Costs.RouteBytes / m.Objects
	w.at, w.applied = []time.Duration{0}, [][]time.Duration{nil}
	for t := time.Duration(0); t < m.For; t += m.Every {
		w.plan(t, w.publish)
	}
	for len(w.queue) > 0 && w.now <= 20*m.For {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
	}
	return w.sum()
}

func (w *world) plan(at time.Duration, do func()) {
	w.turn++
	heap.Push(&w.queue, event{at, do, w.turn})
}

// send has the store send bytes, behind what it has to send already, and says when they are there.
func (w *world) send(bytes int) time.Duration {
	if w.now < w.m.For {
		w.result.BytesPerSecond += float64(bytes)
	}
	w.pipe = max(w.pipe, w.now) + time.Duration(float64(bytes)/w.m.Costs.StoreBytes*float64(time.Second))
	return w.pipe
}

func (w *world) publish() {
	w.head++
	w.at, w.applied = append(w.at, w.now), append(w.applied, nil)
	bytes := w.result.HeadBytes
	if w.m.HeadOnly {
		bytes = 100
	}
	for i := range w.replicas {
		w.plan(w.send(bytes)+w.m.Costs.Hint, func() { w.hint(i) })
	}
}

func (w *world) hint(i int) {
	r := &w.replicas[i]
	if r.busy {
		r.dirty = true
		return
	}
	w.round(i)
}

// round is one of a replica: the head, the objects, and the compiler.
func (w *world) round(i int) {
	r := &w.replicas[i]
	r.busy, r.dirty, r.reads, r.began = true, false, w.head, w.now
	objects := w.m.Objects
	if w.m.Recall {
		objects = min(objects, w.head-r.version) // each change is of one
	}
	w.count(1 + objects)
	there := w.send(w.result.HeadBytes+objects*w.result.ObjectBytes) + time.Duration(1+objects)*w.m.Costs.Read
	spread := 0.9 + 0.2*w.rng.Float64() // no two machines are alike
	compile := time.Duration(float64(w.m.Routes) * float64(w.m.Costs.Compile) * spread)
	w.plan(there+compile, func() { w.done(i) })
}

func (w *world) count(reads int) {
	if w.now < w.m.For {
		w.result.ReadsPerSecond += float64(reads)
	}
}

func (w *world) done(i int) {
	r := &w.replicas[i]
	w.rounds++
	w.spent += w.now - r.began
	for v := r.version + 1; v <= r.reads; v++ {
		w.applied[v] = append(w.applied[v], w.now-w.at[v])
	}
	r.version, r.busy = r.reads, false
	if r.dirty {
		w.round(i)
	}
}

// sum makes the result of what was counted.
func (w *world) sum() Result {
	r, seconds := w.result, w.m.For.Seconds()
	r.BytesPerSecond /= seconds
	r.ReadsPerSecond /= seconds
	r.WritesPresence = float64(w.m.Replicas) * (3 + 1) / w.m.Costs.PresenceTTL.Seconds() // three renewals and the load, each TTL
	var half, most []time.Duration
	for v := 1; v <= w.head; v++ {
		slices.Sort(w.applied[v])
		if len(w.applied[v]) < w.m.Replicas*99/100 {
			r.Behind = true
			continue
		}
		half = append(half, w.applied[v][w.m.Replicas/2-1])
		most = append(most, w.applied[v][w.m.Replicas*99/100-1])
	}
	r.Behind = r.Behind || w.pipe > 3*w.m.For/2
	if len(half) > 0 {
		slices.Sort(half)
		slices.Sort(most)
		r.InForce50, r.InForce99 = half[len(half)/2], most[len(most)/2]
	}
	if w.rounds > 0 {
		r.Round = w.spent / time.Duration(w.rounds)
		r.Applied = float64(w.rounds) / float64(w.m.Replicas*w.head)
	}
	return r
}
