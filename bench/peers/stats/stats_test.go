package stats

import (
	"slices"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOf(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want Summary
	}{
		{nil, Summary{}},
		{[]float64{3}, Summary{3, 3, 3, 1}},
		{[]float64{9, 1, 5}, Summary{5, 1, 9, 3}},
		{[]float64{8, 2, 4, 100}, Summary{6, 2, 100, 4}},
	} {
		before := slices.Clone(c.in)
		if got := Of(c.in); got != c.want || !slices.Equal(c.in, before) {
			t.Errorf("Of(%v) = %+v, want %+v; afterwards %v", before, got, c.want, c.in)
		}
	}
}

func TestRatioGoesRoundByRound(t *testing.T) {
	ours, theirs := map[int]float64{0: 10, 1: 40, 2: 12, 3: 5}, map[int]float64{0: 20, 1: 80, 2: 24, 4: 1, 3: 0}
	want := Summary{0.5, 0.5, 0.5, 3} // round 1 was twice as slow for both; 3 and 4 do not count
	if got := Ratio(ours, theirs); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	// Dividing the medians instead would say 11/22 here and 11/24 with one more slow round.
	ours[5], theirs[5] = 200, 400
	if got := Ratio(ours, theirs); got.Median != 0.5 {
		t.Errorf("median %v after a round that disturbed both, want 0.5", got.Median)
	}
}

func TestValues(t *testing.T) {
	if got := slices.Sorted(slices.Values(Values(map[int]float64{4: 2, 7: 1}))); !slices.Equal(got, []float64{1, 2}) {
		t.Errorf("%v", got)
	}
}
