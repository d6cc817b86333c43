package lifecycle

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A zombie is reaped only if it was there at two looks in a row: os/exec waits for its
// own children sooner than that, and must find them.
func TestReaperLeavesOthersTheirChildren(t *testing.T) {
	var dead, reaped []int
	r := newReaper(func() []int { return dead }, func(pid int) { reaped = append(reaped, pid) })
	var seen map[int]bool
	for i, look := range []struct{ dead, reaped []int }{
		{[]int{7, 8}, nil},
		{[]int{7, 9}, []int{7}}, // somebody waited for 8
		{[]int{9, 8}, []int{9}}, // and 8 is a new process
		{[]int{8}, []int{8}},
		{nil, nil},
	} {
		dead, reaped = look.dead, nil
		seen = r.look(seen)
		if !slices.Equal(reaped, look.reaped) {
			t.Errorf("look %d: reaped %v, want %v", i, reaped, look.reaped)
		}
	}
}

func TestReaperLooksAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := make(chan time.Time, 10)
		r := newReaper(func() []int { looks <- time.Now(); return nil }, nil)
		go r.run()
		began := time.Now()
		for i := range 3 {
			if got, want := (<-looks).Sub(began), time.Duration(i+1)*reapEvery; got != want {
				t.Errorf("look %d after %v, want %v", i, got, want)
			}
		}
		r.stop()
	})
}

func TestReaperIsOffOutsidePID1(t *testing.T) {
	r := startReaper(Config{})
	if r != nil {
		t.Skip("this test runs as PID 1")
	}
	r.stop() // of nothing
}
