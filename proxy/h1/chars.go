package h1

import "encoding/binary"

// Classes of bytes, one bit each.
const (
	isToken  = 1 << iota // tchar, RFC 9110 section 5.6.2
	isTarget             // may stand in a request target
	isHost               // may stand in a registered name as we accept it
	isHex
)

var class = func() (t [256]uint8) {
	for c := '0'; c <= '9'; c++ {
		t[c] |= isToken | isHost | isHex
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c] |= isToken | isHost
		t[c-'a'+'A'] |= isToken | isHost
	}
	for _, c := range "abcdefABCDEF" {
		t[c] |= isHex
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] |= isToken
	}
	for _, c := range "-._" {
		t[c] |= isHost
	}
	// RFC 3986 allows less, but browsers send { | } ^ ` and \ raw in a query (WHATWG
	// URL, query percent-encode set). '#' and what could break a log line stay out.
	for c := '!'; c <= '~'; c++ {
		t[c] |= isTarget
	}
	for _, c := range `#"<>` {
		t[c] &^= isTarget
	}
	return t
}()

var lower = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if i >= 'A' && i <= 'Z' {
			t[i] = byte(i) + 'a' - 'A'
		}
	}
	return t
}()

// all reports whether every byte of b is in the class and b is not empty.
func all(b []byte, bit uint8) bool {
	for _, c := range b {
		if class[c]&bit == 0 {
			return false
		}
	}
	return len(b) > 0
}

// foldEqual compares without regard to ASCII case; low must be lower case already.
func foldEqual(b []byte, low string) bool {
	if len(b) != len(low) {
		return false
	}
	for i, c := range b {
		if lower[c] != low[i] {
			return false
		}
	}
	return true
}

func foldEqualBytes(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if lower[c] != lower[b[i]] {
			return false
		}
	}
	return true
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// trim removes optional white space at both ends (OWS, RFC 9110 section 5.6.3).
func trim(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// badControl returns the index of the first control byte other than HTAB, or -1.
// It tests eight bytes a step: values are the longest part of a head.
func badControl(b []byte) int {
	const (
		ones = 0x0101010101010101
		tops = 0x8080808080808080
	)
	i := 0
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		below := (x - ones*0x20) &^ x // a top bit is set where a byte < 0x20 (or a borrow says maybe)
		del := x ^ ones*0x7f
		if (below|(del-ones)&^del)&tops == 0 {
			continue
		}
		for j, c := range b[i : i+8] {
			if isControl(c) {
				return i + j
			}
		}
	}
	for ; i < len(b); i++ {
		if isControl(b[i]) {
			return i
		}
	}
	return -1
}

func isControl(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }

// controlError names what badControl found in a line whose CRLF is cut off.
func controlError(c byte) *Error {
	if c == '\r' {
		return errBareCR
	}
	return errControl
}

// nextElement splits the first element off a comma-separated list (RFC 9110 section
// 5.6.1). Elements may be empty, which recipients must tolerate. ok is false at the end.
func nextElement(list []byte) (element, rest []byte, ok bool) {
	if len(list) == 0 {
		return nil, nil, false
	}
	for i, c := range list {
		if c == ',' {
			return trim(list[:i]), list[i+1:], true
		}
	}
	return trim(list), nil, true
}

// ValidField reports whether a name and a value can be a field line of ours: a token, and neither control character nor
// space around the value (RFC 9110 section 5.5).
func ValidField(name, value string) bool {
	for i := range len(name) {
		if class[name[i]]&isToken == 0 {
			return false
		}
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return name != "" && (value == "" || value[0] > ' ' && value[len(value)-1] > ' ')
}
