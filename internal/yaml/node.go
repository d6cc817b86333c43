package yaml

import "strconv"

// Kind is what a value is.
type Kind uint8

// The kinds of values.
const (
	Null Kind = iota
	Bool
	Number
	String
	Map
	List
)

func (k Kind) String() string {
	switch k {
	case Null:
		return "nothing"
	case Bool:
		return "boolean"
	case Number:
		return "number"
	case String:
		return "string"
	case Map:
		return "mapping"
	case List:
		return "list"
	}
	return "invalid"
}

// Pos is a place in a file. Both count from 1; columns count characters.
type Pos struct {
	Line, Col int
}

// Node is a value of the tree. The zero Node is Null without a position. Nodes are
// immutable; an alias shares what its anchor holds.
type Node struct {
	kind      Kind
	line, col int32
	size      int32  // values in it after expansion, itself included
	text      string // of a scalar, unquoted
	items     []Node // of a list; of a map: key, value, key, value, ...
}

// Kind returns what the value is.
func (n Node) Kind() Kind { return n.kind }

// Pos returns where the value begins. An alias is where the alias is.
func (n Node) Pos() Pos { return Pos{int(n.line), int(n.col)} }

// Text returns a scalar as written, without quotes; "" for maps and lists.
func (n Node) Text() string { return n.text }

// Len returns the number of entries of a list or map, 0 for a scalar.
func (n Node) Len() int {
	if n.kind == Map {
		return len(n.items) / 2
	}
	return len(n.items)
}

// Item returns entry i of a list.
func (n Node) Item(i int) Node { return n.items[i] }

// Entry returns entry i of a map, in the order of the file.
func (n Node) Entry(i int) (key, value Node) { return n.items[2*i], n.items[2*i+1] }

// Get returns the value of a key of a map.
func (n Node) Get(key string) (Node, bool) {
	if n.kind != Map {
		return Node{}, false
	}
	for i := 0; i < len(n.items); i += 2 {
		if n.items[i].text == key {
			return n.items[i+1], true
		}
	}
	return Node{}, false
}

// describe names a value for a message: `number 30`, `"x"`, `a list`.
func (n Node) describe() string {
	switch n.kind {
	case Number, Bool:
		return n.kind.String() + " " + clip(n.text)
	case String:
		return strconv.Quote(clip(n.text))
	case Null:
		return "nothing"
	}
	return "a " + n.kind.String()
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
