package yaml

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits bound what a file may cost. Zero values are the defaults.
type Limits struct {
	Size   int // bytes of the file; default 1 MiB
	Depth  int // nested values; default 32
	Values int // scalars, keys, maps and lists after expansion of aliases; default 1,000,000
}

func (l Limits) withDefaults() Limits {
	if l.Size == 0 {
		l.Size = 1 << 20
	}
	if l.Depth == 0 {
		l.Depth = 32
	}
	if l.Values == 0 {
		l.Values = 1_000_000
	}
	return l
}

// Parse reads a file into a tree. name is for messages. The error is a *Faults.
func Parse(name string, src []byte, limits Limits) (*Document, error) {
	limits = limits.withDefaults()
	if len(src) > limits.Size {
		return nil, wholeFile(name, "the file has %d bytes; at most %d are read", len(src), limits.Size)
	}
	src = bytes.TrimPrefix(src, []byte("\xEF\xBB\xBF"))
	if !utf8.Valid(src) {
		return nil, wholeFile(name, "the file is not UTF-8 text")
	}
	if i := bytes.IndexFunc(src, notText); i >= 0 {
		return nil, wholeFile(name, "the file has a control character in line %d", 1+bytes.Count(src[:i], []byte("\n")))
	}
	c := &converter{
		doc:     &Document{file: newSource(name, string(src))},
		limits:  limits,
		anchors: map[string]Node{},
	}
	c.document()
	if err := c.faults.ErrorOrNil(); err != nil {
		return nil, err
	}
	return c.doc, nil
}

// notText says whether a character may not be in YAML (YAML 1.2 section 5.1).
func notText(r rune) bool {
	switch {
	case r == '\t', r == '\n', r == '\r', r == 0x85:
		return false
	}
	return r < ' ' || 0x7F <= r && r < 0xA0 || r == 0xFFFE || r == 0xFFFF
}

func wholeFile(name, format string, args ...any) error {
	f := &Faults{}
	f.Add(Fault{File: name, Code: Unreadable, Message: fmt.Sprintf(format, args...)})
	return f
}

// document converts the whole file, in pieces if it can.
func (c *converter) document() {
	if pieces := split(c.doc.file); len(pieces) > 1 && c.pieces(pieces) {
		return
	}
	if len(c.doc.file.text) > wholeUpTo {
		c.fault(Pos{1, 1}, "a file of more than %d bytes must be one mapping in block style", wholeUpTo)
		return
	}
	c.restart()
	body, ok := c.parse(c.doc.file.text, 0)
	if !ok {
		return
	}
	c.doc.root = Node{kind: Map, line: 1, col: 1, size: 1}
	if body == nil || body.Type() == ast.NullType {
		return // an empty file sets nothing
	}
	root := c.convert(body, 0)
	if root.kind != Map && c.faults.Count() == 0 {
		c.fault(root.Pos(), "the file is %s; it must be a mapping of keys to values", root.describe())
		return
	}
	c.doc.root = root
}

// parse runs the library over a text that begins after line lines of the file.
func (c *converter) parse(text string, line int) (body ast.Node, ok bool) {
	// The library is not ours: should it panic on some text, that text is refused.
	defer func() {
		if r := recover(); r != nil {
			c.fault(Pos{line + 1, 1}, "this is not readable as YAML")
			body, ok = nil, false
		}
	}()
	c.line = int32(line)
	tokens := joinPlain(lexer.Tokenize(text))
	if pos, ok := tooDeep(tokens); !ok {
		c.fault(Pos{line + pos.Line, pos.Col}, "too many values inside one another or in one mapping")
		return nil, false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		c.syntax(err, line)
		return nil, false
	}
	for i, doc := range file.Docs {
		if i > 0 && doc.Body != nil && (doc.Body.Type() != ast.NullType || doc.Start != nil) {
			pos := Pos{line + 1, 1}
			if doc.Start != nil {
				pos = Pos{line + doc.Start.Position.Line, doc.Start.Position.Column}
			}
			c.fault(pos, "a second document in one file; put it into a file of its own")
			return nil, false
		}
	}
	if len(file.Docs) == 0 {
		return nil, true
	}
	return file.Docs[0].Body, true
}

// syntax reports an error of the library with its place.
func (c *converter) syntax(err error, line int) {
	var at interface {
		GetToken() *token.Token
		GetMessage() string
	}
	pos, text := Pos{line + 1, 1}, "this is not readable as YAML"
	if errors.As(err, &at) {
		text = at.GetMessage()
		if t := at.GetToken(); t != nil && t.Position != nil {
			pos = Pos{line + max(1, t.Position.Line), max(1, t.Position.Column)}
		}
	}
	c.fault(pos, "%s", strings.ToValidUTF8(clip(text), "\uFFFD"))
}

// Bounds of tooDeep. They are above what Limits.Depth lets through.
const (
	maxNesting = 256
	maxRun     = 16
	maxEntries = 10_000 // in one mapping that is not read in pieces
)

// column is a place in a line where a token began, and how many did before it in lines
// above without one further left.
type column struct{ at, tokens int }

// tooDeep bounds the recursion of the library's parser before it starts: Go cannot
// recover from an exhausted stack. A token in block style is nested at most as deep as
// there are tokens before it at ever smaller columns; in flow style, as there are open
// brackets. Runs of tokens that wrap the next value (tags, anchors, "?", ":") recurse too.
func tooDeep(tokens token.Tokens) (Pos, bool) {
	var columns []column
	flow, run := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
			run = 0
		case token.SequenceEndType, token.MappingEndType:
			flow = max(0, flow-1)
			run = 0
		case token.CollectEntryType:
			run = 0
		case token.TagType, token.AnchorType, token.MappingKeyType:
			run++
		case token.MappingValueType:
			if flow > 0 {
				run++
			}
		default:
			if flow == 0 {
				run = 0
			}
		}
		if flow == 0 && t.Type != token.CommentType {
			top := column{at: t.Position.Column}
			for len(columns) > 0 && columns[len(columns)-1].at >= top.at {
				if last := columns[len(columns)-1]; last.at == top.at && t.Type != token.SequenceEntryType {
					top.tokens = last.tokens + 1
				}
				columns = columns[:len(columns)-1]
			}
			columns = append(columns, top)
		}
		if flow+len(columns) > maxNesting || run > maxRun ||
			len(columns) > 0 && columns[len(columns)-1].tokens > maxEntries {
			return Pos{t.Position.Line, t.Position.Column}, false
		}
	}
	return Pos{}, true
}
