package route

// PathOptions say what a route's paths may contain.
type PathOptions struct {
	// PathParameters lets ';' through (RFC 3986 section 3.3). Otherwise it is refused,
	// because servers disagree on whether "/a;b" is "/a".
	PathParameters bool
}

// PathError is why Normalize refused a path; the answer is 400. The set is closed.
type PathError string

func (e PathError) Error() string { return string(e) }

// The refusals of Normalize.
const (
	ErrPathNotAbsolute    PathError = "the path does not begin with a slash"
	ErrPathByte           PathError = "the path contains a byte that must be percent-encoded"
	ErrPathPercent        PathError = "the path contains a percent sign without two hex digits"
	ErrPathEncodedSlash   PathError = "the path contains an encoded slash (%2F)"
	ErrPathEncodedNUL     PathError = "the path contains an encoded NUL (%00)"
	ErrPathBackslash      PathError = "the path contains a backslash"
	ErrPathAboveRoot      PathError = "the path leads above the root"
	ErrPathParameter      PathError = "the path contains a path parameter (;)"
	ErrPathDotWithTrailer PathError = "the path contains a dot segment with a path parameter"
)

// Classes of bytes in a path. Everything else is ErrPathByte.
const (
	refused  = iota
	plain    // stands for itself
	dot      // plain, but may be a dot segment
	slash    // ends a segment
	percent  // begins an escape
	semi     // a path parameter
	backward // a backslash
)

// pathClass: pchar of RFC 3986 section 3.3 stands for itself, and so do the four bytes
// that browsers leave raw although they should not ("[", "]", "^", "|").
var pathClass = [256]uint8{
	'-': plain, '_': plain, '~': plain, '!': plain, '$': plain, '&': plain, '\'': plain,
	'(': plain, ')': plain, '*': plain, '+': plain, ',': plain, '=': plain, ':': plain, '@': plain,
	'[': plain, ']': plain, '^': plain, '|': plain,
	'0': plain, '1': plain, '2': plain, '3': plain, '4': plain, '5': plain, '6': plain, '7': plain, '8': plain, '9': plain,
	'A': plain, 'B': plain, 'C': plain, 'D': plain, 'E': plain, 'F': plain, 'G': plain, 'H': plain, 'I': plain,
	'J': plain, 'K': plain, 'L': plain, 'M': plain, 'N': plain, 'O': plain, 'P': plain, 'Q': plain, 'R': plain,
	'S': plain, 'T': plain, 'U': plain, 'V': plain, 'W': plain, 'X': plain, 'Y': plain, 'Z': plain,
	'a': plain, 'b': plain, 'c': plain, 'd': plain, 'e': plain, 'f': plain, 'g': plain, 'h': plain, 'i': plain,
	'j': plain, 'k': plain, 'l': plain, 'm': plain, 'n': plain, 'o': plain, 'p': plain, 'q': plain, 'r': plain,
	's': plain, 't': plain, 'u': plain, 'v': plain, 'w': plain, 'x': plain, 'y': plain, 'z': plain,
	'.': dot, '/': slash, '%': percent, ';': semi, '\\': backward,
}

// Normalize gives a request's path (without query) its one form: unreserved bytes
// decoded, other escapes with upper-case digits, runs of slashes merged, dot segments
// removed. It refuses with a PathError what servers read in different ways; nothing is
// repaired. The result is what is routed, authorised and forwarded.
//
// A path in normal form is returned as it is, uncopied; any other is written to
// dst[:0], which is grown if it has no room. The result is never longer than raw, and
// dst may be raw[:0]. Normalize is idempotent.
func Normalize(dst, raw []byte, opts PathOptions) ([]byte, error) {
	if len(raw) == 0 || raw[0] != '/' {
		return nil, ErrPathNotAbsolute
	}
	if isNormal(raw) {
		return raw, nil
	}
	out := dst[:0]
	// Invariants: out[:segment] ends with a slash once the first is written, and
	// len(out) <= i, so that dst may be raw[:0].
	segment := 0
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch pathClass[c] {
		case plain, dot:
			out = append(out, c)
		case slash:
			var err error
			if out, err = endSegment(out, segment); err != nil {
				return nil, err
			}
			if len(out) == 0 || out[len(out)-1] != '/' {
				out = append(out, '/')
			}
			segment = len(out)
		case percent:
			if i+2 >= len(raw) {
				return nil, ErrPathPercent
			}
			b, ok := unhex(raw[i+1], raw[i+2])
			if !ok {
				return nil, ErrPathPercent
			}
			i += 2
			switch {
			case b == '/':
				return nil, ErrPathEncodedSlash
			case b == '\\':
				return nil, ErrPathBackslash
			case b == 0:
				return nil, ErrPathEncodedNUL
			case unreserved(b):
				out = append(out, b)
			default:
				out = append(out, '%', upperHex[b>>4], upperHex[b&15])
			}
		case semi:
			if !opts.PathParameters {
				return nil, ErrPathParameter
			}
			out = append(out, c)
		case backward:
			return nil, ErrPathBackslash
		default:
			return nil, ErrPathByte
		}
	}
	return endSegment(out, segment)
}

// isNormal says whether a path surely is in normal form: only plain bytes, no escape,
// no dot or slash after a slash.
func isNormal(raw []byte) bool {
	after := false // a slash
	for _, c := range raw {
		switch pathClass[c] {
		case plain:
			after = false
		case dot:
			if after {
				return false
			}
		case slash:
			if after {
				return false
			}
			after = true
		default:
			return false
		}
	}
	return true
}

// endSegment looks at the segment out[start:], now complete and decoded, and takes it
// back if it is a dot segment (RFC 3986 section 5.2.4).
func endSegment(out []byte, start int) ([]byte, error) {
	seg := out[start:]
	if len(seg) == 0 || seg[0] != '.' {
		return out, nil
	}
	dots := 1
	if len(seg) > 1 && seg[1] == '.' {
		dots = 2
	}
	if rest := seg[dots:]; len(rest) > 0 {
		// Some servers cut parameters off first and then see "..": "/a/..;x/b".
		if rest[0] == ';' || len(rest) >= 3 && rest[0] == '%' && rest[1] == '3' && rest[2] == 'B' {
			return nil, ErrPathDotWithTrailer
		}
		return out, nil
	}
	out = out[:start]
	if dots == 1 {
		return out, nil
	}
	if len(out) <= 1 { // only the root's slash is left
		return nil, ErrPathAboveRoot
	}
	out = out[:len(out)-1]
	for out[len(out)-1] != '/' {
		out = out[:len(out)-1]
	}
	return out, nil
}

// WithoutParameters is a copy of a path without the parameters of its segments, as some
// servers read it.
func WithoutParameters(path []byte) []byte {
	bare := make([]byte, 0, len(path))
	inside := false
	for _, c := range path {
		if c == ';' || c == '/' {
			inside = c == ';'
		}
		if !inside {
			bare = append(bare, c)
		}
	}
	return bare
}

const upperHex = "0123456789ABCDEF"

func unhex(hi, lo byte) (b byte, ok bool) {
	h, ok1 := hexDigit(hi)
	l, ok2 := hexDigit(lo)
	return h<<4 | l, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// unreserved bytes mean the same with and without encoding (RFC 3986 section 2.3).
func unreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return c == '-' || c == '.' || c == '_' || c == '~'
}
