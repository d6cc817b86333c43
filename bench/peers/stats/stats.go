// Package stats sums up the rounds of a measurement: medians, because rounds on a shared
// machine have outliers, and their spread, because a median alone looks surer than it is.
//
//	s := stats.Of(cpuByRound)
//	s.Median, s.Min, s.Max
//	r := stats.Ratio(ours, theirs) // round by round, then the median
package stats

import "slices"

// Summary of a set of figures. N is 0 and the rest too if there were none.
type Summary struct {
	Median, Min, Max float64
	N                int
}

// Of sums up; the order of values does not matter and they stay as they are.
func Of(values []float64) Summary {
	if len(values) == 0 {
		return Summary{}
	}
	v := slices.Sorted(slices.Values(values))
	mid := len(v) / 2
	median := v[mid]
	if len(v)%2 == 0 {
		median = (v[mid-1] + v[mid]) / 2
	}
	return Summary{Median: median, Min: v[0], Max: v[len(v)-1], N: len(v)}
}

// Ratio divides the figures of two entrants round by round, so that what disturbed a whole
// round cancels out. Keys are rounds; a round that one of them lacks, or whose divisor is
// 0, does not count.
func Ratio(numerator, divisor map[int]float64) Summary {
	var ratios []float64
	for round, a := range numerator {
		if b := divisor[round]; b > 0 {
			ratios = append(ratios, a/b)
		}
	}
	return Of(ratios)
}

// Values are the figures of a map by round, in no order.
func Values(byRound map[int]float64) []float64 {
	v := make([]float64, 0, len(byRound))
	for _, x := range byRound {
		v = append(v, x)
	}
	return v
}
