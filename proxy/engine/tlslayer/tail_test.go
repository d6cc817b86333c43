package tlslayer

import "testing"

func TestTailTellsOurBytesFromTheHandlers(t *testing.T) {
	for _, tt := range []struct {
		name        string
		sent        []sealed
		lost, plain int64
	}{
		{"nothing was sent", nil, 0, 0},
		{"all arrived", []sealed{{122, 100}}, 0, 0},
		{"only the goodbye did not", []sealed{{122, 100}, {24, 0}}, 24, 0},
		{"a FIN counts one", []sealed{{122, 100}, {24, 0}}, 1, 0},
		{"the goodbye and a piece", []sealed{{122, 100}, {24, 0}}, 30, 6},
		{"the goodbye and all", []sealed{{122, 100}, {24, 0}}, 146, 100},
		{"two records", []sealed{{122, 100}, {39, 17}, {24, 0}}, 63, 17},
		{"more than is remembered", []sealed{{1000, 900}, {1, 1}, {1, 1}, {1, 1}, {24, 0}}, 127, 103},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var l tail
			for _, s := range tt.sent {
				l.note(int(s.wire), int(s.plain))
			}
			if got := l.plain(tt.lost); got != tt.plain {
				t.Errorf("%d of the wire are %d of the handler's, want %d", tt.lost, got, tt.plain)
			}
		})
	}
}
