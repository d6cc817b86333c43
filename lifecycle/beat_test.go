package lifecycle

import (
	"errors"
	"testing"
	"time"
)

// Exits is what systemd is told a stop by: it may not be taken back, and a process that
// parks does not exit.
func TestExits(t *testing.T) {
	for _, c := range []struct {
		name string
		stop func(d *driver)
		want string // Exits in the lame duck, when drained, and once a signal came
	}{
		{"signal", func(d *driver) { d.m.Signal(d.now, Terminate) }, "yes yes yes"},
		{"drain by API", func(d *driver) { _ = d.m.RequestDrain(d.now, false) }, "no yes yes"},
		{"drain by API, parked", func(d *driver) { _ = d.m.RequestDrain(d.now, true) }, "no no yes"},
		{"failure", func(d *driver) { d.m.ServiceFailed(d.now, "a", errors.New("broke")) }, "yes yes yes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDriver(t, Config{LameDuckMin: time.Second, LameDuckMax: time.Second, Timeout: time.Second, Budget: time.Minute}, []string{"a"}, nil)
			say := func() string {
				if d.m.Status().Exits {
					return "yes"
				}
				return "no"
			}
			returnAll := func() {
				for len(d.calls) > 0 {
					d.back(0, nil)
				}
			}
			d.begin()
			returnAll()
			if d.m.State() != Serving || d.m.Status().Exits {
				t.Fatalf("%s, exits %s; want Serving, no", d.m.State(), say())
			}
			c.stop(d)
			d.step()
			got := say()
			returnAll()
			d.now = d.now.Add(2 * time.Second)
			d.step()
			got += " " + say()
			returnAll()
			d.m.Signal(d.now, Terminate)
			d.step()
			got += " " + say()
			if got != c.want {
				t.Errorf("exits: %s, want %s", got, c.want)
			}
		})
	}
}
