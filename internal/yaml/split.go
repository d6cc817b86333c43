package yaml

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// The library's tree takes some sixty times the memory of its text. A large file is a
// large list (routes), so it is read in pieces: each a run of items of a list that is
// the value of a top-level key, or all that is between. Splitting only looks at lines;
// whatever makes a piece unreadable by itself (a quote or bracket over several lines)
// makes us read the file whole.

const (
	splitFrom  = 256 << 10 // bytes: smaller files are read whole
	pieceBytes = 64 << 10
)

// piece is a part of a file: whole lines.
type piece struct {
	text string
	line int    // lines before it
	list string // the top-level key whose list's items these are; "" if it is top level
}

// split cuts a file into pieces, or returns none if that is not worth it.
func split(src *source) []piece {
	if len(src.text) < splitFrom {
		return nil
	}
	return splitLines(src, pieceBytes)
}

func splitLines(src *source, size int) []piece {
	var pieces []piece
	start, list, indent := 0, "", -1 // of the piece at hand, in lines
	cut := func(line int) {
		if line > start {
			from, to := src.lines[start], len(src.text)
			if line < len(src.lines) {
				to = src.lines[line]
			}
			pieces = append(pieces, piece{src.text[from:to], start, list})
		}
		start = line
	}
	content := false // a line that is more than a comment or "---" was seen
	key := ""        // the top-level key whose value may be a list that begins on the next line
	for i := range src.lines {
		line, _ := src.line(i + 1)
		body := strings.TrimLeft(line, " ")
		if body == "" || body[0] == '#' {
			continue
		}
		column := len(line) - len(body)
		item := strings.HasPrefix(body, "- ") || body == "-"
		if mark := strings.HasPrefix(line, "---") || strings.HasPrefix(line, "..."); (mark && content) || line[0] == '%' {
			return nil // several documents, or directives
		} else if mark {
			continue
		}
		content = true
		switch {
		case key != "" && item: // the first item: all before it, with the key, is a piece
			cut(i)
			list, indent, key = key, column, ""
		case list != "" && item && column == indent:
			if src.lines[i]-src.lines[start] >= size {
				cut(i)
			}
		case column == 0:
			if list != "" {
				cut(i)
				list, indent = "", -1
			}
			key = ""
			if k, ok := strings.CutSuffix(strings.TrimRight(line, " "), ":"); ok && plainKey(k) {
				key = k
			}
		case list == "":
			key = ""
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

// pieces reads a file by pieces. It reports false if one of them does not stand by
// itself, or if anything at all is wrong: then the whole file tells it better.
func (c *converter) pieces(pieces []piece) bool {
	root := Node{kind: Map, line: 1, col: 1, size: 1}
	at := map[string]int{} // index in root.items of a key's value
	for _, p := range pieces {
		body, ok := c.parse(p.text, p.line)
		if !ok {
			return false
		}
		if body == nil || body.Type() == ast.NullType {
			continue // comments
		}
		n := c.convert(body, min(1, len(p.list)))
		if c.faults.Count() > 0 {
			return false
		}
		if p.list != "" {
			i, ok := at[p.list]
			if !ok || n.kind != List {
				return false
			}
			c.extend(&root, i, n)
			continue
		}
		if n.kind != Map {
			return false
		}
		if len(at) == 0 {
			root.line, root.col = n.line, n.col
		}
		for i := 0; i < len(n.items); i += 2 {
			key := n.items[i].text
			if _, twice := at[key]; twice {
				return false
			}
			at[key] = len(root.items) + 1
			c.append(&root, n.items[i])
			c.append(&root, n.items[i+1])
		}
	}
	root.size = 1
	for _, n := range root.items {
		root.size = addSizes(root.size, n.size)
	}
	c.doc.root = root
	return true
}

// extend adds the items of a piece to a list of the root, which is Null before the
// first piece.
func (c *converter) extend(root *Node, i int, more Node) {
	to := &root.items[i]
	if to.kind == Null {
		*to = more
		return
	}
	to.items = append(to.items, more.items...)
	to.size = addSizes(to.size, more.size-1)
}
