package world

import "strconv"

// Bodies are pieces of one long text, so that nothing has to be made or kept: which
// piece is decided by the number of the request, so that a stranger's, a doubled or a
// missing byte shows.

const (
	textLen  = 1 << 18
	maxBody  = 100_000
	textStep = 7919 // a prime, so that neighbours begin far apart
)

// text is pseudo-random lower-case letters. Read only.
var text = func() []byte {
	b := make([]byte, textLen)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = 'a' + byte(x>>24)%26
	}
	return b
}()

// body is the content number num, n bytes long. It must not be written to.
func body(num, n int) []byte {
	at := num * textStep % (textLen - maxBody)
	return text[at : at+n]
}

// matcher compares a body with what it should be while it arrives.
type matcher struct {
	want []byte
	n    int // bytes so far
	bad  bool
}

func (m *matcher) add(b []byte) {
	if m.n+len(b) > len(m.want) || string(m.want[m.n:m.n+len(b)]) != string(b) {
		m.bad = true
	}
	m.n += len(b)
}

// whole reports whether it was all, and right.
func (m *matcher) whole() bool { return !m.bad && m.n == len(m.want) }

// numberAfter reads the decimal number behind the last mark in b; ok is false if there is none.
func numberAfter(b []byte, mark byte) (n int, ok bool) {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] == mark {
			n, err := strconv.Atoi(string(b[i+1:]))
			return n, err == nil
		}
	}
	return 0, false
}
