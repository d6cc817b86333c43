package fleet

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small is a model whose result is known.
func small() Model {
	c := Stated()
	c.RouteBytes, c.EntryBytes, c.Compile = 400, 110, 10*time.Microsecond
	return Model{Replicas: 100, Routes: 1000, Objects: 10, Every: 10 * time.Second, Recall: true, Costs: c}
}

// What is simulated agrees with what can be worked out.
func TestTheModelAgreesWithArithmetic(t *testing.T) {
	m := small()
	r := Simulate(m)
	// A change: the head to each by its watch and again by its read, and one object.
	want := float64(m.Replicas*(2*(200+10*110)+100*400)) / 10
	if r.BytesPerSecond < 0.99*want || r.BytesPerSecond > 1.01*want {
		t.Errorf("%.0f bytes a second, want %.0f", r.BytesPerSecond, want)
	}
	if want := float64(m.Replicas*2) / 10; r.ReadsPerSecond != want {
		t.Errorf("%.1f reads a second, want %.1f", r.ReadsPerSecond, want)
	}
	if r.InForce99 < 10*time.Millisecond || r.InForce99 > 50*time.Millisecond || r.Behind || r.Applied != 1 {
		t.Errorf("%+v", r)
	}
	m.Recall = false
	if all := Simulate(m); all.ReadsPerSecond != float64(m.Replicas*11)/10 {
		t.Errorf("without recall %.1f reads a second", all.ReadsPerSecond)
	}
}

// Where compiling takes longer than the time between two changes, changes are taken together, and nobody falls behind.
func TestChangesAreTakenTogether(t *testing.T) {
	m := small()
	m.Every, m.Costs.Compile = time.Second, 4*time.Millisecond // 4 s a round
	r := Simulate(m)
	if r.Applied > 0.3 || r.Behind || r.InForce99 < 4*time.Second || r.InForce99 > 10*time.Second {
		t.Errorf("%+v", r)
	}
}

// A store that cannot send what is asked for is found.
func TestAStoreThatFallsBehind(t *testing.T) {
	m := small()
	m.Every, m.Costs.StoreBytes = time.Second, 1e6
	if r := Simulate(m); !r.Behind {
		t.Errorf("%+v", r)
	}
}
