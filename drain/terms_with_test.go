package drain

import (
	"testing"
	"time"
)

// Whoever shares a connection keeps what its own terms give it, and what changes nothing costs nothing.
func TestTermsWith(t *testing.T) {
	lives := &Lives{}
	none, zero := (*Terms)(nil), &Terms{}
	short, long := &Terms{Deadline: time.Second, Order: First}, &Terms{Deadline: time.Minute, Notice: time.Second, Lives: lives}
	early, late := &Terms{EarlyStreams: true}, &Terms{Notice: -1, Order: Last, EarlyTunnels: true}
	for _, tt := range []struct {
		a, b *Terms
		want Terms
	}{
		{none, none, Terms{}},
		{none, short, Terms{}},
		{zero, early, *early},
		{short, long, Terms{Deadline: time.Minute, Notice: time.Second, Lives: lives}},
		{long, late, Terms{Notice: -1, Order: Last, EarlyTunnels: true, Lives: lives}},
		{early, late, Terms{Notice: -1, Order: Last, EarlyStreams: true, EarlyTunnels: true}},
	} {
		for _, pair := range [][2]*Terms{{tt.a, tt.b}, {tt.b, tt.a}} {
			got := pair[0].With(pair[1])
			if got.orNone() != tt.want {
				t.Errorf("%+v with %+v: %+v, want %+v", pair[0].orNone(), pair[1].orNone(), got.orNone(), tt.want)
			}
			for _, again := range pair {
				if got.With(again) != got {
					t.Errorf("%+v with %+v once more is another", got.orNone(), again.orNone())
				}
			}
		}
	}
}
