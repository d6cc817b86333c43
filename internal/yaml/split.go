package yaml

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// The library's tree takes some sixty times the memory of its text, and one mapping
// takes it time that grows with the square of its entries. A large file is a large list
// or mapping under a top-level key (routes, clusters), so it is read in pieces: runs of
// its items, and all that is between. Splitting only looks at lines; what does not stand
// by itself as a piece (a quote or bracket that breaks the indentation) is read whole
// if the file is small enough for that, and refused otherwise.

const (
	splitFrom  = 256 << 10 // bytes: smaller files are read whole
	wholeUpTo  = 1 << 20   // bytes: larger files are read only in pieces
	pieceBytes = 64 << 10
)

// piece is a part of a file: whole lines.
type piece struct {
	text  string
	line  int    // lines before it
	under string // the top-level key whose items or entries these are; "" if it is top level
}

// split cuts a file into pieces, or returns none if that is not worth it.
func split(src *source) []piece {
	if len(src.text) < splitFrom {
		return nil
	}
	return splitLines(src, pieceBytes)
}

func splitLines(src *source, size int) []piece {
	if strings.Count(src.text, "\r") != strings.Count(src.text, "\r\n") {
		return nil // a lone CR ends a line for the library, but not for us
	}
	var pieces []piece
	start, under, indent := 0, "", 0 // of the piece at hand, in lines
	cut := func(line int) {
		if line > start {
			from, to := src.lines[start], len(src.text)
			if line < len(src.lines) {
				to = src.lines[line]
			}
			pieces = append(pieces, piece{src.text[from:to], start, under})
		}
		start = line
	}
	content := false // a line that is more than a comment or "---" was seen
	key := ""        // the top-level key whose value begins on the next line
	for i := range src.lines {
		line, _ := src.line(i + 1)
		body := strings.TrimLeft(line, " ")
		if body == "" || body[0] == '#' {
			continue
		}
		if mark := strings.HasPrefix(line, "---") || strings.HasPrefix(line, "..."); (mark && content) || line[0] == '%' {
			return nil // several documents, or directives
		} else if mark {
			continue
		}
		content = true
		column, item := len(line)-len(body), strings.HasPrefix(body, "- ") || body == "-"
		full := src.lines[i]-src.lines[start] >= size
		switch {
		case key != "" && (item || column > 0): // all before it, with the key, is a piece
			cut(i)
			under, indent, key = key, column, ""
		case under != "" && column == indent && (item || column > 0):
			if full {
				cut(i)
			}
		case column == 0:
			if under != "" || full {
				cut(i)
			}
			under, key = "", ""
			if k, ok := strings.CutSuffix(strings.TrimRight(line, " "), ":"); ok && plainKey(k) {
				key = k
			}
		}
	}
	cut(len(src.lines))
	return pieces
}

func plainKey(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || '0' <= c && c <= '9' && i > 0) {
			return false
		}
	}
	return s != ""
}

// pieces reads a file by pieces. It reports false if the file must be read whole
// instead: a piece does not stand by itself, or anything at all is wrong, which the
// whole file tells better.
func (c *converter) pieces(pieces []piece) bool {
	last := len(c.doc.file.text) > wholeUpTo // there is no second try
	root := Node{kind: Map, line: 1, col: 1}
	top := newIndex()
	var group *index // of the mapping under a top-level key
	for _, p := range pieces {
		body, ok := c.parse(p.text, p.line)
		if ok && body == nil {
			continue // comments
		}
		var n Node
		if ok {
			n = c.convert(body, min(1, len(p.under)))
		}
		ok = ok && blockStyle(body)
		switch {
		case !ok || c.faults.Count() > 0:
			if !last {
				return false
			}
		case p.under == "" && n.kind == Map:
			if len(root.items) == 0 {
				root.line, root.col = n.line, n.col
			}
			c.extend(&root, top, n)
			group = newIndex()
		case p.under == "":
			ok = false
		default:
			i, found := top.at[p.under]
			ok = found && c.under(&root.items[i+1], group, n)
		}
		if !ok && c.faults.Count() == 0 {
			c.fault(n.Pos(), "this does not fit what is before it; indent all values more than their key")
		}
		if c.faults.Count() > 0 && !last {
			return false
		}
	}
	root.size = 1
	for _, n := range root.items {
		root.size = addSizes(root.size, n.size)
	}
	c.doc.root = root
	return true
}

// blockStyle says whether a piece is a plain block: only those can be put together.
func blockStyle(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.MappingNode:
		return !n.IsFlowStyle
	case *ast.MappingValueNode:
		return !n.IsFlowStyle
	case *ast.SequenceNode:
		return !n.IsFlowStyle
	}
	return false
}

// index finds the keys of a mapping.
type index struct{ at map[string]int }

func newIndex() *index { return &index{map[string]int{}} }

// under adds a piece to the value of a top-level key, which is Null before the first.
func (c *converter) under(to *Node, group *index, more Node) bool {
	switch {
	case to.kind == Null && more.kind == List:
		*to = more
	case to.kind == Null && more.kind == Map:
		*to = Node{kind: Map, line: more.line, col: more.col, size: 1}
		c.extend(to, group, more)
	case to.kind == List && more.kind == List:
		to.items = append(to.items, more.items...)
		to.size = addSizes(to.size, more.size-1)
	case to.kind == Map && more.kind == Map:
		c.extend(to, group, more)
	default:
		return false
	}
	return true
}

// extend adds the entries of a mapping to one made from the pieces before.
func (c *converter) extend(to *Node, keys *index, more Node) {
	for i := 0; i < len(more.items); i += 2 {
		key, value := more.items[i], more.items[i+1]
		if first, twice := keys.at[key.text]; twice {
			c.twice(key, to.items[first])
			continue
		}
		keys.at[key.text] = len(to.items)
		c.append(to, key)
		c.append(to, value)
	}
}
