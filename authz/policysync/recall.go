package policysync

import (
	"context"
	"sync"
)

// Recall remembers the objects of the version that was read last, so that of the next one only those are fetched that are
// new: with many replicas, the store would otherwise send all of a policy to each of them for every change. What is remembered
// takes as much memory as the policy has text.
func Recall(s Source) Source { return &recalled{Source: s, objects: map[string][]byte{}} }

// recalled is a Source with a memory.
type recalled struct {
	Source

	mu      sync.Mutex        // guards objects
	objects map[string][]byte // by hash; of the newest head that was read
}

// Head is that of the source. What it does not name is forgotten.
func (r *recalled) Head(ctx context.Context) (Head, error) {
	h, err := r.Source.Head(ctx)
	if err != nil {
		return h, err
	}
	named := make(map[string]bool, len(h.Objects))
	for _, o := range h.Objects {
		named[o.Hash] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for hash := range r.objects {
		if !named[hash] {
			delete(r.objects, hash)
		}
	}
	return h, nil
}

// Fetch answers from memory what is there. Only what has the hash that it goes by is remembered: what a source sends instead
// is for the caller to refuse, each time anew.
func (r *recalled) Fetch(ctx context.Context, hash string) ([]byte, error) {
	r.mu.Lock()
	b, ok := r.objects[hash]
	r.mu.Unlock()
	if ok {
		return b, nil
	}
	b, err := r.Source.Fetch(ctx, hash)
	if err != nil || hashOf(b) != hash {
		return b, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.objects[hash] = b
	return b, nil
}
