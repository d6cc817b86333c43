package policysync

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluiceproxy/sluice/authz/policy"
)

// Fetch gets and verifies all objects of a head. What is not what the head says is a *Refusal.
func Fetch(ctx context.Context, source Source, h Head) ([]policy.File, error) {
	files := make([]policy.File, 0, len(h.Objects))
	total := 0
	for _, o := range h.Objects {
		b, err := source.Fetch(ctx, o.Hash)
		if errors.Is(err, ErrTooLarge) {
			return nil, &Refusal{Oversized, h.Version, fmt.Errorf("fetch %s: %w", o.Name, err)}
		}
		if err != nil {
			return nil, fmt.Errorf("fetch %s: %w", o.Name, err)
		}
		if got := hashOf(b); got != o.Hash {
			return nil, &Refusal{BadHash, h.Version, fmt.Errorf("fetch %s: its hash is %.12s, the head says %.12s", o.Name, got, o.Hash)}
		}
		if total += len(b); total > policy.MaxSize {
			return nil, &Refusal{Oversized, h.Version, fmt.Errorf("fetch %s: the policy has more than %d bytes", o.Name, policy.MaxSize)}
		}
		files = append(files, policy.File{Name: o.Name, Src: b})
	}
	return files, nil
}
