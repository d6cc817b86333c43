package yaml

// Code says what kind of fault it is, for tools and for `sluice explain`. It is from a closed set,
// stays what it is from version to version, and has a section in docs/errors.md.
type Code string

// The codes.
const (
	Unreadable      Code = "unreadable"       // no text, or more than is read
	Syntax          Code = "syntax"           // no YAML, or YAML that is not used here
	Layout          Code = "layout"           // readable, and cannot be laid out
	DuplicateKey    Code = "duplicate-key"    // a key given twice in one mapping
	UnknownKey      Code = "unknown-key"      // a key that is none
	UnknownWord     Code = "unknown-word"     // an operator, a criterion or a matcher that is none
	UnknownVariable Code = "unknown-variable" // a SLUICE_ variable that is none
	WrongType       Code = "wrong-type"       // a list where a text is expected, and the like
	NeedsUnit       Code = "needs-unit"       // a duration or a size without one
	NotOneOf        Code = "not-one-of"       // a word outside of a closed set
	OutOfRange      Code = "out-of-range"     // a number, a time or a size
	BadValue        Code = "bad-value"        // whatever else is wrong with one value
	Required        Code = "required"         // a key that is missing
	DuplicateName   Code = "duplicate-name"   // two things of one name, or one thing twice
	UnknownName     Code = "unknown-name"     // a name that nothing has
	Conflict        Code = "conflict"         // values that do not go together
	Unsafe          Code = "unsafe"           // what would let somebody in
	StopBudget      Code = "stop-budget"      // the stop does not fit into platform.stop_timeout
)

// Codes is the closed set.
func Codes() []Code {
	return []Code{Unreadable, Syntax, Layout, DuplicateKey, UnknownKey, UnknownWord, UnknownVariable, WrongType, NeedsUnit, NotOneOf,
		OutOfRange, BadValue, Required, DuplicateName, UnknownName, Conflict, Unsafe, StopBudget}
}
