package handover

import (
	"strings"
	"testing"
	"time"
)

func TestWhichPolicyIsNewer(t *testing.T) {
	at := func(h int) time.Time { return epoch.Add(time.Duration(h) * time.Hour) }
	dir := func(hash string, h int) Version { return Version{Source: "dir", Hash: hash, Published: at(h)} }
	num := func(hash string, n uint64) Version {
		return Version{Source: "dir", Hash: hash, Number: n, Ordered: true}
	}
	lastGood := func(v Version) Version { v.LastGood = true; return v }
	refused := dir("a", 2)
	refused.Rejected = "b"
	elsewhere := dir("b", 0)
	elsewhere.Source = "other"
	for _, tt := range []struct {
		name         string
		theirs, ours Version
		want         string // "" : at least as new
	}{
		{"the same", dir("a", 0), dir("a", 5), ""},
		{"the same, last good", lastGood(dir("a", 0)), dir("a", 5), ""},
		{"none", Version{}, dir("a", 0), "none in force yet"},
		{"none on either side", Version{}, Version{}, "none in force yet"},
		{"published later", dir("b", 3), dir("a", 2), ""},
		{"published before", dir("b", 1), dir("a", 2), "not published later"},
		{"published at the same time", dir("b", 2), dir("a", 2), "not published later"},
		{"another last good, though published later", lastGood(dir("b", 3)), dir("a", 2), "last known good"},
		{"a higher number", num("b", 8), num("a", 7), ""},
		{"a lower number", num("b", 6), num("a", 7), "not higher"},
		{"the same number and another hash", num("b", 7), num("a", 7), "not higher"},
		{"what we refused", dir("b", 1), refused, ""},
		{"another source", elsewhere, dir("a", 2), ""},
	} {
		err := tt.theirs.AtLeast(tt.ours)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
