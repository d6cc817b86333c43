package yaml

import (
	"fmt"
	"strconv"
	"strings"
)

// Document is a parsed file.
type Document struct {
	file *source
	root Node
}

// Root returns the root mapping.
func (d *Document) Root() Node { return d.root }

// File returns the name given to Parse.
func (d *Document) File() string { return d.file.name }

// At returns where the value at a dotted path is: "routes[2].cluster". If the path
// leads nowhere, it returns the position of the deepest value on the way, and false:
// a fault about something missing belongs there.
func (d *Document) At(path string) (Pos, bool) {
	n := d.root
	for path != "" {
		next, rest, ok := step(n, path)
		if !ok {
			return n.Pos(), false
		}
		n, path = next, rest
	}
	return n.Pos(), true
}

// step follows the first element of a path. A key may itself contain dots and
// brackets: the longest key that fits is taken.
func step(n Node, path string) (next Node, rest string, ok bool) {
	if path[0] == '[' {
		end := strings.IndexByte(path, ']')
		if end < 0 || n.kind != List {
			return n, path, false
		}
		i, err := strconv.Atoi(path[1:end])
		if err != nil || i < 0 || i >= len(n.items) {
			return n, path, false
		}
		return n.items[i], strings.TrimPrefix(path[end+1:], "."), true
	}
	best := -1
	if n.kind == Map {
		for i := 0; i < len(n.items); i += 2 {
			key := n.items[i].text
			if after, found := strings.CutPrefix(path, key); found && key != "" &&
				(after == "" || after[0] == '.' || after[0] == '[') && (best < 0 || len(key) > len(n.items[best].text)) {
				best = i
			}
		}
	}
	if best < 0 {
		return n, path, false
	}
	return n.items[best+1], strings.TrimPrefix(path[len(n.items[best].text):], "."), true
}

// Fault makes a fault about the value at a path, for Faults.Add: a BadValue, until another code is set.
func (d *Document) Fault(path, format string, args ...any) Fault {
	pos, _ := d.At(path)
	return d.FaultAt(pos, path, format, args...)
}

// FaultAt makes a fault about a place that is known.
func (d *Document) FaultAt(pos Pos, path, format string, args ...any) Fault {
	return Fault{
		File: d.file.name, Line: pos.Line, Col: pos.Col, Path: path, Code: BadValue,
		Message: fmt.Sprintf(format, args...), source: d.file,
	}
}
