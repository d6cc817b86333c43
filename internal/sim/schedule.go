package sim

import "time"

// schedule is what is still to happen: a heap by time, then by age. The heap holds
// values, so that ordering touches no other memory, and events are used again.
type schedule struct {
	heap []due
	free []*event
	seq  uint64
}

// due is an event in the heap.
type due struct {
	at  int64 // nanoseconds since Epoch
	seq uint64
	e   *event
}

// event is what happens. gen tells a stop function whether its event was used again.
type event struct {
	f   func() // nil: cancelled
	gen uint64
}

func (a *due) before(b *due) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

// push schedules f.
func (q *schedule) push(at int64, f func()) *event {
	var e *event
	if n := len(q.free); n > 0 {
		e, q.free = q.free[n-1], q.free[:n-1]
	} else {
		e = new(event)
	}
	e.f = f
	q.seq++
	q.heap = append(q.heap, due{at, q.seq, e})
	q.up(len(q.heap) - 1)
	return e
}

// pop takes the next event that was not cancelled.
func (q *schedule) pop() (at int64, f func(), ok bool) {
	for len(q.heap) > 0 {
		d := q.heap[0]
		n := len(q.heap) - 1
		q.heap[0] = q.heap[n]
		q.heap[n].e = nil
		q.heap = q.heap[:n]
		if n > 0 {
			q.down()
		}
		f := d.e.f
		d.e.f = nil
		d.e.gen++
		q.free = append(q.free, d.e)
		if f != nil {
			return d.at, f, true
		}
	}
	return 0, nil, false
}

// fan is the number of children of a node: a flat heap has fewer levels to go down.
const fan = 4

func (q *schedule) up(i int) {
	d := q.heap[i]
	for i > 0 {
		p := (i - 1) / fan
		if !d.before(&q.heap[p]) {
			break
		}
		q.heap[i] = q.heap[p]
		i = p
	}
	q.heap[i] = d
}

func (q *schedule) down() {
	i, n := 0, len(q.heap)
	d := q.heap[0]
	for {
		first := i*fan + 1
		if first >= n {
			break
		}
		least := first
		for c := first + 1; c < min(first+fan, n); c++ {
			if q.heap[c].before(&q.heap[least]) {
				least = c
			}
		}
		if !q.heap[least].before(&d) {
			break
		}
		q.heap[i] = q.heap[least]
		i = least
	}
	q.heap[i] = d
}

// After runs f once after d. The result prevents it, and says whether it did.
func (n *Net) After(d time.Duration, f func()) (stop func() bool) {
	e := n.later(d, f)
	gen := e.gen
	return func() bool {
		if e.gen != gen || e.f == nil {
			return false
		}
		e.f = nil
		return true
	}
}

// later is After for what is never prevented.
func (n *Net) later(d time.Duration, f func()) *event {
	return n.queue.push(n.at+int64(max(d, 0)), f)
}

// Step lets the next event happen; false if there is none.
func (n *Net) Step() bool {
	at, f, ok := n.queue.pop()
	if !ok {
		return false
	}
	if at != n.at {
		n.at, n.now = at, Epoch.Add(time.Duration(at))
	}
	n.events++
	f()
	return true
}
