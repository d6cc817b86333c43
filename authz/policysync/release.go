package policysync

import (
	"slices"
	"strconv"
	"strings"
)

// parseRelease reads the numbers of a version: "0.9", "v1.2.3", "v1.2.3-4-gabcdef". What follows
// the numbers does not count, so that a release candidate of 0.9 is a 0.9. ok is false for what
// has no number, as "dev" has none.
func parseRelease(s string) (numbers []uint64, ok bool) {
	s = strings.TrimPrefix(s, "v")
	if i := strings.IndexAny(s, "-+ "); i >= 0 {
		s = s[:i]
	}
	for _, part := range strings.Split(s, ".") {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil || len(numbers) == 3 {
			return nil, false
		}
		numbers = append(numbers, n)
	}
	return numbers, true
}

// olderThan reports whether a release is older than another. Missing numbers are zero.
func olderThan(a, b []uint64) bool {
	full := func(n []uint64) []uint64 { return append(slices.Clone(n), 0, 0, 0)[:3] }
	return slices.Compare(full(a), full(b)) < 0
}
