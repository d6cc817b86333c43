package h1

// Limits bounds what one head may cost. The zero value means the defaults.
type Limits struct {
	Head   int // bytes of a whole head with its start line; 0 is 64 KiB
	Line   int // bytes of any one line without CRLF; 0 is 16 KiB
	Fields int // number of field lines; 0 is 100
}

// Defaults of [Limits], and the bounds that are not configurable.
const (
	DefaultHead   = 64 << 10
	DefaultLine   = 16 << 10
	DefaultFields = 100

	maxOptions   = 16       // connection options of one message: bounds options x fields
	maxExtension = 16 << 10 // bytes of chunk extensions of one body
	maxTrailer   = 8 << 10  // bytes of a trailer section
	maxTrailers  = 64       // fields of a trailer section
	maxHost      = 255      // bytes of a host name, RFC 1035 section 2.3.4
)

func (l Limits) orDefaults() Limits {
	if l.Head <= 0 {
		l.Head = DefaultHead
	}
	if l.Line <= 0 {
		l.Line = DefaultLine
	}
	if l.Fields <= 0 {
		l.Fields = DefaultFields
	}
	l.Line = min(l.Line, l.Head)
	return l
}
