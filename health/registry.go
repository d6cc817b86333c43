package health

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of a record.
const (
	maxError = 1 << 10 // bytes
	maxAttrs = 16
)

// Config is the seam of tests. The zero value is right for a product.
type Config struct {
	Now func() time.Time // nil is time.Now
}

// Registry holds the state of the process and of every check. Make one with
// NewRegistry. All methods are safe for concurrent use and return at once.
type Registry struct {
	now func() time.Time

	mu      sync.Mutex // guards what follows
	seq     uint64     // of the last change
	process versioned[ProcessReport]
	checks  map[string]*versioned[Check]
	subs    []*Subscription
	closed  bool
}

// versioned is a record and the number of the change that made it.
type versioned[T any] struct {
	seq   uint64
	value T
}

// NewRegistry returns a registry without checks whose process is starting.
func NewRegistry(cfg Config) *Registry {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	r := &Registry{now: cfg.Now, checks: make(map[string]*versioned[Check])}
	r.seq = 1
	r.process = versioned[ProcessReport]{1, ProcessReport{Since: r.now()}}
	return r
}

// Declare says that a check exists and what it may do to readiness. A new one is
// STARTING; of a known one only the class changes.
func (r *Registry) Declare(name string, class Class) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	c := Check{Name: name, Since: now}
	if v := r.checks[name]; v != nil {
		if v.value.Class == class {
			return
		}
		c = v.value
	}
	c.Class = class
	r.put(c)
}

// Set reports on a check. err is why it is so; it may come with any status. Attributes
// replace those of before, unless there are none. A check that was not declared is
// Informational. Reporting the same again changes nothing, and Since stays.
func (r *Registry) Set(name string, status Status, err error, attrs ...Attr) {
	text := ""
	if err != nil {
		text = truncate(err.Error())
	}
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	c := Check{Name: name, Class: Informational, Since: now}
	v := r.checks[name]
	if v != nil {
		c = v.value
	}
	if len(attrs) == 0 {
		attrs = c.Attrs
	}
	attrs = attrs[:min(len(attrs), maxAttrs)]
	if v != nil && c.Status == status && c.Error == text && slices.Equal(c.Attrs, attrs) {
		return
	}
	if c.Status != status || c.Error != text {
		c.Since = now
	}
	c.Status, c.Error, c.Attrs = status, text, slices.Clone(attrs)
	r.put(c)
}

// truncate bounds an error text without cutting a rune in half.
func truncate(s string) string {
	if len(s) <= maxError {
		return s
	}
	return strings.ToValidUTF8(s[:maxError], "") + "..."
}

// SetProcess tells the state of the process and why. The next Snapshot, by anybody,
// shows it. Only package lifecycle calls it.
func (r *Registry) SetProcess(state Process, reason string) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.process.value
	if p.State == state && p.Reason == reason {
		return
	}
	if p.State != state {
		p.Since = now
	}
	p.State, p.Reason = state, truncate(reason)
	p.Started = p.Started || state == ProcessServing
	r.seq++
	r.process = versioned[ProcessReport]{r.seq, p}
	r.wake()
}

// put stores a record and tells the providers. Call with mu held.
func (r *Registry) put(c Check) {
	r.seq++
	r.checks[c.Name] = &versioned[Check]{r.seq, c}
	r.wake()
}

// Snapshot is everything at one moment.
type Snapshot struct {
	Process ProcessReport
	Checks  []Check // sorted by name
}

// Snapshot copies the registry.
func (r *Registry) Snapshot() Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Snapshot{Process: r.process.value, Checks: make([]Check, 0, len(r.checks))}
	for _, v := range r.checks {
		s.Checks = append(s.Checks, v.value)
	}
	slices.SortFunc(s.Checks, func(a, b Check) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

// Check returns the record of one check.
func (s Snapshot) Check(name string) (Check, bool) {
	i, ok := slices.BinarySearchFunc(s.Checks, name, func(c Check, name string) int { return cmp.Compare(c.Name, name) })
	if !ok {
		return Check{}, false
	}
	return s.Checks[i], true
}
