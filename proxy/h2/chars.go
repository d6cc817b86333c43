package h2

// Classes of bytes, one bit each.
const (
	inToken = 1 << iota // tchar, RFC 9110 section 5.6.2
	inName              // of those, no upper case (RFC 9113 section 8.2.1)
	inValue             // may stand in a value: no control byte but HTAB
	visible             // may stand in a pseudo-field: no space, no control byte
)

var class = func() (t [256]uint8) {
	for c := range t {
		if c >= ' ' && c != 0x7f || c == '\t' {
			t[c] |= inValue
		}
		if c > ' ' && c != 0x7f {
			t[c] |= visible
		}
	}
	for c := '0'; c <= '9'; c++ {
		t[c] |= inToken | inName
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c] |= inToken | inName
		t[c-'a'+'A'] |= inToken
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] |= inToken | inName
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

func isToken(b []byte) bool   { return all(b, inToken) }
func isName(b []byte) bool    { return all(b, inName) }
func isVisible(b []byte) bool { return all(b, visible) }

// isValue accepts a field value, which may be empty: no control bytes, no white space at its ends.
func isValue(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	return !isSpace(b[0]) && !isSpace(b[len(b)-1]) && all(b, inValue)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func equalFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
