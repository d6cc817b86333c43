package yaml

import (
	"fmt"
	"reflect"
	"slices"
)

// Unmarshaler is a value with a grammar of its own. It reports faults to r and keeps
// nothing of r.
type Unmarshaler interface {
	UnmarshalYAML(n Node, r *Reader)
}

// Reader is one place in a document during decoding: it gathers faults with their path.
type Reader struct {
	doc    *Document
	faults *Faults
	path   *crumb
}

// crumb is a path as a list of steps from the leaf up: text is made only for faults.
type crumb struct {
	up    *crumb
	key   string
	index int // -1: key
}

func (c *crumb) String() string {
	if c == nil {
		return ""
	}
	up := c.up.String()
	switch {
	case c.index >= 0:
		return fmt.Sprintf("%s[%d]", up, c.index)
	case up == "":
		return c.key
	}
	return up + "." + c.key
}

// Path returns where the reader is: "routes[2].policy". The root is "".
func (r *Reader) Path() string { return r.path.String() }

// Key returns a reader for the value of a key.
func (r *Reader) Key(key string) *Reader {
	return &Reader{r.doc, r.faults, &crumb{r.path, key, -1}}
}

// Index returns a reader for an entry of a list.
func (r *Reader) Index(i int) *Reader {
	return &Reader{r.doc, r.faults, &crumb{r.path, "", i}}
}

// Fault reports a BadValue about n: "path: message".
func (r *Reader) Fault(n Node, format string, args ...any) { r.FaultOf(BadValue, n, format, args...) }

// FaultOf is Fault with another code.
func (r *Reader) FaultOf(code Code, n Node, format string, args ...any) {
	path := r.Path()
	if path != "" {
		format = "%s: " + format
		args = slices.Insert(args, 0, any(path))
	}
	r.faults.Add(r.doc.FaultAt(n.Pos(), path, format, args...).Of(code))
}

// Unknown reports a word that is not among those known here, with the nearest of them:
// `unknown key "methd" in routes[0]; did you mean "methods"?`.
func (r *Reader) Unknown(what string, n Node, known []string) {
	path := r.Path()
	in := ""
	if path != "" {
		in = " in " + path
	}
	f := r.doc.FaultAt(n.Pos(), path, "unknown %s %q%s", what, clip(n.text), in)
	f.Code, f.Suggestion = UnknownWord, Nearest(n.text, known)
	if what == "key" {
		f.Code = UnknownKey
	}
	r.faults.Add(f)
}

// Decode decodes n into what v points to.
func (r *Reader) Decode(n Node, v any) { r.decode(n, reflect.ValueOf(v).Elem(), "") }

// Expect says whether n is of a kind, and reports a fault if it is not.
func (r *Reader) Expect(n Node, kind Kind) bool {
	if n.kind == kind {
		return true
	}
	if kind == String && (n.kind == Number || n.kind == Bool) {
		r.FaultOf(WrongType, n, "%s where a string is expected; write %q", n.describe(), n.text)
		return false
	}
	r.FaultOf(WrongType, n, "%s where a %s is expected", n.describe(), kind)
	return false
}
