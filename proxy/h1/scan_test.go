package h1

import (
	"strings"
	"testing"
)

// Whatever arrives, and however slowly: asking the scanner first never hides a head,
// and never says "parse" for nothing.
func TestHeadScannerAgreesWithParse(t *testing.T) {
	var r Request
	for _, c := range requestCases {
		for _, step := range []int{1, 2, 7} {
			var s HeadScanner
			for i := step; i <= len(c.raw); i += step {
				b := []byte(c.raw[:i])
				n, err := r.Parse(b, Limits{})
				now := s.Next(b, Limits{})
				if now && n == 0 && err == nil {
					t.Fatalf("%.60q at %d: the scanner says parse, Parse says incomplete", c.raw, i)
				}
				if !now && n != 0 {
					t.Fatalf("%.60q at %d: the scanner hides a head", c.raw, i)
				}
				if n != 0 || err != nil {
					break
				}
				if len(c.raw) > 1000 {
					i += 500
				}
			}
		}
	}
}

// A fault that only more bytes could make worse is seen before the head ends.
func TestHeadScannerSeesFaultsEarly(t *testing.T) {
	for _, raw := range []string{
		"GET / HTTP/1.1\nHost: a\n",
		"\r\n\r\n",
		"GET /" + strings.Repeat("a", DefaultLine),
		"GET / HTTP/1.1\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 66),
	} {
		var s HeadScanner
		if !s.Next([]byte(raw), Limits{}) {
			t.Errorf("%.40q: not seen", raw)
		}
		if s != (HeadScanner{}) {
			t.Errorf("%.40q: scanner did not start anew", raw)
		}
	}
}

// One byte at a time costs one look at each byte.
func TestHeadScannerLooksOnce(t *testing.T) {
	raw := []byte("GET / HTTP/1.1\r\nHost: a\r\nA: " + strings.Repeat("b", 1000))
	var s HeadScanner
	for i := 1; i <= len(raw); i++ {
		before := s.seen
		if s.Next(raw[:i], Limits{}) {
			t.Fatal("end found")
		}
		if got := s.seen - before; got != 1 {
			t.Fatalf("at %d: advanced by %d", i, got)
		}
	}
	s.Reset()
	if s.seen != 0 {
		t.Error("Reset forgot nothing")
	}
}
