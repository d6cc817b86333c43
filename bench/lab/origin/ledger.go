package origin

import "sync"

// ledger counts executions by ID.
type ledger struct {
	mu   sync.Mutex // guards seen
	seen map[string]int
}

func (l *ledger) note(id string) {
	if id == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[id]++
}

// Executed says how often a request arrived.
func (o *Origin) Executed(id string) int {
	o.ledger.mu.Lock()
	defer o.ledger.mu.Unlock()
	return o.ledger.seen[id]
}

// Twice are the IDs that arrived more than once: somebody on the way sent them again.
func (o *Origin) Twice() (ids []string) {
	o.ledger.mu.Lock()
	defer o.ledger.mu.Unlock()
	for id, n := range o.ledger.seen {
		if n > 1 {
			ids = append(ids, id)
		}
	}
	return ids
}

// Requests is the number of requests and tunnels that arrived.
func (o *Origin) Requests() (n int) {
	o.ledger.mu.Lock()
	defer o.ledger.mu.Unlock()
	for _, k := range o.ledger.seen {
		n += k
	}
	return n
}
