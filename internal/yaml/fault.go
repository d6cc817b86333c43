package yaml

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// MaxFaults is how many faults are kept. More are counted and not shown: a file that
// is wrong throughout needs no thousand lines to say so.
const MaxFaults = 100

// Fault is one thing wrong in a file.
type Fault struct {
	File       string `json:"file"`
	Line       int    `json:"line"`                 // from 1; 0 if the file as a whole is meant
	Col        int    `json:"col"`                  // from 1, in characters
	Path       string `json:"path,omitempty"`       // "listeners[0].timeout"; empty for the root
	Code       Code   `json:"code"`                 // what kind of fault
	Message    string `json:"message"`              // complete in itself, names the path where it helps
	Suggestion string `json:"suggestion,omitempty"` // what was probably meant: "drain_timeout"

	source *source // for the excerpt; nil if there is none
}

// Error returns the fault on one line: "f.yaml:8:20: listen: ...".
func (f Fault) Error() string {
	return fmt.Sprintf("%s: %s", f.where(), f.text())
}

// Of returns the fault with another code.
func (f Fault) Of(code Code) Fault {
	f.Code = code
	return f
}

func (f Fault) where() string {
	if f.Line == 0 {
		return f.File
	}
	return fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Col)
}

func (f Fault) text() string {
	if f.Suggestion == "" {
		return f.Message
	}
	return fmt.Sprintf("%s; did you mean %q?", f.Message, f.Suggestion)
}

// Faults is every fault found in one go, as an error. The zero value has none.
type Faults struct {
	list    []Fault
	dropped int
}

// Add adds faults.
func (f *Faults) Add(faults ...Fault) {
	room := min(len(faults), MaxFaults-len(f.list))
	f.list = append(f.list, faults[:room]...)
	f.dropped += len(faults) - room
}

// AddError adds an error: the faults in it if it is a *Faults, else one fault about the
// file as a whole. A nil error adds nothing.
func (f *Faults) AddError(file string, err error) {
	var more *Faults
	switch {
	case err == nil:
	case errors.As(err, &more):
		f.Add(more.list...)
		f.dropped += more.dropped
	default:
		f.Add(Fault{File: file, Code: Unreadable, Message: err.Error()})
	}
}

// ErrorOrNil returns f as an error, or nil if there are no faults.
func (f *Faults) ErrorOrNil() error {
	if f == nil || f.Count() == 0 {
		return nil
	}
	return f
}

// Count returns how many faults there are, those that were not kept included.
func (f *Faults) Count() int { return len(f.list) + f.dropped }

// List returns the faults by file, line and column.
func (f *Faults) List() []Fault {
	list := slices.Clone(f.list)
	slices.SortStableFunc(list, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	return list
}

// Place is where something stands in a file: small, and kept when the document is not.
// The zero value is no place.
type Place struct {
	file      *source
	line, col int32
	path      string
}

// Place returns where n stands, with the path of the reader.
func (r *Reader) Place(n Node) Place {
	return Place{r.doc.file, n.line, n.col, r.Path()}
}

// String returns "file:line:col".
func (p Place) String() string { return p.Fault("").where() }

// File returns the name of the file.
func (p Place) File() string {
	if p.file == nil {
		return ""
	}
	return p.file.name
}

// Fault makes a fault about the place: a BadValue, until another code is set.
func (p Place) Fault(format string, args ...any) Fault {
	return Fault{
		File: p.File(), Line: int(p.line), Col: int(p.col), Path: p.path, Code: BadValue,
		Message: fmt.Sprintf(format, args...), source: p.file,
	}
}
