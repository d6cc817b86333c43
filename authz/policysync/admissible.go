package policysync

import (
	"fmt"
	"time"
)

// admissible refuses heads by what they say of themselves, and by what was in force before.
func (s *Syncer) admissible(h Head, now time.Time) *Refusal {
	refuse := func(r Reason, format string, args ...any) *Refusal {
		return &Refusal{Reason: r, Version: h.Version, Err: fmt.Errorf(format, args...)}
	}
	highest := s.highest
	switch {
	case expired(h.Expires, now):
		return refuse(Expired, "version %s expired at %s; publish a new one", h.Version, h.Expires.Format(time.RFC3339))
	case h.Ordered && h.Version.Number < highest.Number:
		return refuse(Rollback, "version %s is older than version %d, which was applied before; publish the old content under a new number", h.Version, highest.Number)
	case h.Ordered && h.Version.Number == highest.Number && highest.Hash != "" && h.Version.Hash != highest.Hash:
		return refuse(Rollback, "version %s differs from the version %s that was applied before; publish under a new number", h.Version, highest)
	}
	least, asked := parseRelease(h.MinProxy)
	have, known := parseRelease(s.config.Release)
	if asked && known && olderThan(have, least) {
		return refuse(MinProxy, "version %s needs a proxy of %s or later, and this is %s; upgrade it first", h.Version, h.MinProxy, s.config.Release)
	}
	if asked && !known && s.unnumbered != h.Version.Hash {
		s.unnumbered = h.Version.Hash
		s.config.Log.Warn("the policy needs a proxy of some version or later, and this one has no number: it is taken for new enough", "version", h.Version.Number, "min_proxy", h.MinProxy)
	}
	return nil
}

// expired reports whether a time is over. Zero never is.
func expired(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }
