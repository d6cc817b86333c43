package fleet

import (
	"fmt"
	"strconv"
	"strings"
)

// Budget is how many replicas may be away at once: a number, or a share of all there are. The zero value is one.
type Budget struct {
	Count   int // 0: by Percent
	Percent int // 1 to 100; of all replicas, rounded down, and at least one
}

// ParseBudget reads "2" or "10%".
func ParseBudget(s string) (Budget, error) {
	number, percent := strings.CutSuffix(s, "%")
	n, err := strconv.Atoi(number)
	switch {
	case err != nil || n < 1:
		return Budget{}, fmt.Errorf("%q is neither a number of replicas, at least 1, nor a share such as \"10%%\"", s)
	case percent && n > 100:
		return Budget{}, fmt.Errorf("%q is more than all", s)
	case percent:
		return Budget{Percent: n}, nil
	}
	return Budget{Count: n}, nil
}

// Of is the budget of a fleet of so many: at least 1.
func (b Budget) Of(replicas int) int {
	if b.Percent > 0 {
		return max(1, replicas*b.Percent/100)
	}
	return max(1, b.Count)
}

// String is as ParseBudget reads it.
func (b Budget) String() string {
	if b.Percent > 0 {
		return strconv.Itoa(b.Percent) + "%"
	}
	return strconv.Itoa(max(1, b.Count))
}
