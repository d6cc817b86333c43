package fleet

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// forgetful takes claims, and shows a line without them: somebody has deleted the key, or another replica with this ID has written over it.
type forgetful struct{ *Memory }

func (f forgetful) Look(ctx context.Context) (View, error) {
	v, err := f.Memory.Look(ctx)
	v.Entries = slices.DeleteFunc(slices.Clone(v.Entries), func(e Entry) bool { return e.Kind == Drains })
	return v, err
}

// A line in which we are not gives no turn ever, so that it is as silent as a store that shows none.
func TestALineWithoutUsKeepsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Config{Store: forgetful{NewMemory(time.Now)}, ID: "a"})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); m.Run(ctx) }() // ends with cancel
		m.Tell(Facts{State: "serving", Ready: true})
		time.Sleep(time.Minute)
		wait, stop := context.WithTimeout(ctx, time.Hour)
		began := time.Now()
		if got, took := m.Turn(wait, "SIGTERM"), time.Since(began); got != OutcomeAway || took > AwayAfter+2*time.Second {
			t.Errorf("told %v after %v", got, took)
		}
		stop()
		cancel()
		<-done
	})
}
