package fleet

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Memory is a Store in memory, for tests and simulations: as strict as a real one, with a switch that takes it away.
type Memory struct {
	now func() time.Time

	mu       sync.Mutex // guards what follows
	down     bool
	next     LeaseID
	revision int64
	leases   map[LeaseID]*memoryLease
	entries  []Entry // as they were created
	watchers []chan struct{}
	counts   Counts
}

type memoryLease struct {
	ttl time.Duration
	by  time.Time
}

// Counts is what a Memory was asked.
type Counts struct {
	Grants, Renewals, Writes, Reads int
	Bytes                           int64 // written, and read
}

// ErrDown is what a Memory says while it is away.
var ErrDown = errors.New("the store is away")

// NewMemory returns an empty store; now is its clock, nil: time.Now.
func NewMemory(now func() time.Time) *Memory {
	if now == nil {
		now = time.Now
	}
	return &Memory{now: now, leases: map[LeaseID]*memoryLease{}}
}

// SetDown takes the store away, or back: leases begin anew then, as those of etcd do.
func (m *Memory) SetDown(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down && !down {
		for _, l := range m.leases {
			l.by = m.now().Add(l.ttl)
		}
	}
	m.down = down
}

// Expire ends a lease before its time.
func (m *Memory) Expire(l LeaseID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(l)
}

// Counts returns what was asked so far.
func (m *Memory) Counts() Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts
}

// enter locks the store and drops leases that are over; leave unlocks it.
func (m *Memory) enter() error {
	m.mu.Lock()
	if m.down {
		return ErrDown
	}
	now := m.now()
	for id, l := range m.leases {
		if !now.Before(l.by) {
			m.expire(id)
		}
	}
	return nil
}

func (m *Memory) expire(id LeaseID) {
	delete(m.leases, id)
	m.entries = slices.DeleteFunc(m.entries, func(e Entry) bool {
		if e.Lease == id {
			m.changed(e.Kind)
		}
		return e.Lease == id
	})
}

func (m *Memory) changed(k Kind) {
	m.revision++
	if k != Drains {
		return
	}
	for _, w := range m.watchers {
		select {
		case w <- struct{}{}:
		default: // a hint is there
		}
	}
}

// Grant implements Store.
func (m *Memory) Grant(_ context.Context, ttl time.Duration) (LeaseID, error) {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return 0, err
	}
	m.counts.Grants++
	m.next++
	m.leases[m.next] = &memoryLease{ttl, m.now().Add(ttl)}
	return m.next, nil
}

// Renew implements Store.
func (m *Memory) Renew(_ context.Context, id LeaseID) error {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return err
	}
	m.counts.Renewals++
	l := m.leases[id]
	if l == nil {
		return ErrLeaseLost
	}
	l.by = m.now().Add(l.ttl)
	return nil
}

// Set implements Store.
func (m *Memory) Set(_ context.Context, kind Kind, id string, value []byte, lease LeaseID) error {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return err
	}
	if m.leases[lease] == nil {
		return ErrLeaseLost
	}
	m.counts.Writes++
	m.counts.Bytes += int64(len(value))
	m.changed(kind)
	e := Entry{kind, id, slices.Clone(value), lease, m.revision}
	if i := m.index(kind, id); i >= 0 {
		e.Created = m.entries[i].Created
		m.entries[i] = e
		return nil
	}
	m.entries = append(m.entries, e)
	return nil
}

// Unset implements Store.
func (m *Memory) Unset(_ context.Context, kind Kind, id string, lease LeaseID) error {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return err
	}
	m.counts.Writes++
	if i := m.index(kind, id); i >= 0 && m.entries[i].Lease == lease {
		m.changed(kind)
		m.entries = slices.Delete(m.entries, i, i+1)
	}
	return nil
}

func (m *Memory) index(kind Kind, id string) int {
	return slices.IndexFunc(m.entries, func(e Entry) bool { return e.Kind == kind && e.ID == id })
}

// Look implements Store.
func (m *Memory) Look(context.Context) (View, error) {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return View{}, err
	}
	m.counts.Reads++
	for _, e := range m.entries {
		m.counts.Bytes += int64(len(e.Value))
	}
	return View{m.revision, slices.Clone(m.entries)}, nil
}

// Watch implements Store.
func (m *Memory) Watch(ctx context.Context) (<-chan struct{}, error) {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return nil, err
	}
	w := make(chan struct{}, 1)
	m.watchers = append(m.watchers, w)
	context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.watchers = slices.DeleteFunc(m.watchers, func(x chan struct{}) bool { return x == w })
		close(w)
	})
	return w, nil
}
