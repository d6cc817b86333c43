package h1

import "bytes"

// HeadScanner finds the end of a head that arrives in small pieces without looking
// twice at the same byte, so that a client that sends one byte at a time costs O(n) in
// all. It is 16 bytes for each connection, where a Request may be shared by a loop.
// The zero value is ready. Use it once [Request.Parse] has said "incomplete":
//
//	if !scan.Next(buf, lim) {
//		return // not worth a Parse yet
//	}
//
// It sees the end of a head and what no more bytes could mend (a line or head over its
// limit, LF without CR); any other fault waits for the end of the head.
type HeadScanner struct {
	seen  int // every byte before this offset was looked at
	start int // where the current line starts
}

// Next reports whether it is time to Parse b. b holds the same
// bytes as in the call before, and more. After true, or Reset, the scanner starts anew.
func (s *HeadScanner) Next(b []byte, lim Limits) bool {
	lim = lim.orDefaults()
	for {
		i := bytes.IndexByte(b[s.seen:], '\n')
		if i < 0 {
			s.seen = len(b)
			return s.end(len(b) > lim.Head || len(b)-s.start > lim.Line+1)
		}
		i += s.seen
		bare := i == s.start || b[i-1] != '\r'
		empty := i == s.start+1 && s.start > 0 // one empty line may come first
		if bare || empty || i >= lim.Head || i-s.start > lim.Line+1 {
			return s.end(true)
		}
		s.seen, s.start = i+1, i+1
	}
}

// Reset forgets what was seen.
func (s *HeadScanner) Reset() { *s = HeadScanner{} }

func (s *HeadScanner) end(yes bool) bool {
	if yes {
		s.Reset()
	}
	return yes
}
