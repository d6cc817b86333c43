package yaml

import "strings"

// carry is what a line leaves open for the next.
type carry struct {
	kind   carryKind
	parent level // the level that it is in
	shift  int   // columns by which its lines move

	depth int  // of openFlow: brackets that are open
	quote byte // of openFlow: inside such quotes

	from, to int // of openBlock: where its text stood, and is put; 0: its first line will say
	blanks   int // of openBlock: empty lines that may be of the text, or behind it
	keep     bool
}

type carryKind uint8

const (
	openNothing carryKind = iota
	openPlain             // a plain scalar, which may go on in the next line
	openFlow              // brackets, or quotes
	openBlock             // a text behind | or >
)

// value copies a value, or its beginning, to b and returns the comment behind it. It notes what
// is left open. It reports false if there is more than a value.
func (f *layout) value(b *strings.Builder, rest string, shift int) (comment string, ok bool) {
	rest = strings.TrimLeft(rest, " \t")
	for strings.HasPrefix(rest, "&") {
		n := strings.IndexAny(rest+" ", " \t")
		separate(b)
		b.WriteString(rest[:n])
		rest = strings.TrimLeft(rest[n:], " \t")
	}
	if rest == "" || rest[0] == '#' {
		return rest, true
	}
	separate(b)
	f.open = carry{parent: f.top(), shift: shift}
	switch rest[0] {
	case '|', '>':
		return f.header(b, rest)
	case '"', '\'', '[', '{':
		f.open.kind = openFlow
		rest = f.open.copy(b, rest)
		return f.behind(rest)
	case '?':
		if len(rest) == 1 || rest[1] == ' ' {
			return "", false
		}
	}
	f.open.kind = openPlain
	text := rest
	if n := commentAt(rest); n >= 0 {
		text, comment = rest[:n], rest[n:]
		f.open = carry{}
	}
	b.WriteString(strings.TrimRight(text, " \t"))
	return comment, true
}

// behind judges what is left of a line once brackets and quotes were copied.
func (f *layout) behind(rest string) (comment string, ok bool) {
	if f.open.depth > 0 || f.open.quote != 0 {
		return rest, true
	}
	f.open = carry{}
	rest = strings.TrimLeft(rest, " \t")
	return rest, rest == "" || rest[0] == '#'
}

// header copies what begins a text in block style.
func (f *layout) header(b *strings.Builder, rest string) (comment string, ok bool) {
	n := strings.IndexAny(rest+" ", " \t")
	marks := rest[:n]
	b.WriteString(marks)
	f.open.kind = openBlock
	for _, m := range marks[1:] {
		switch {
		case m == '+':
			f.open.keep = true
		case '1' <= m && m <= '9':
			f.open.from, f.open.to = max(f.open.parent.old, 0)+int(m-'0'), max(f.open.parent.new, 0)+int(m-'0')
		case m != '-':
			return "", false
		}
	}
	comment = strings.TrimLeft(rest[n:], " \t")
	return comment, comment == "" || comment[0] == '#'
}

// blockText takes a line of a text in block style; false: the text is over.
func (f *layout) blockText(s string) bool {
	c := &f.open
	body := strings.TrimLeft(s, " ")
	lead := len(s) - len(body)
	switch {
	case body == "" && (c.from == 0 || lead <= c.from):
		c.blanks++
		return true
	case body != "" && lead <= c.parent.old, body != "" && c.from > 0 && lead < c.from:
		f.endText()
		return false
	}
	if c.from == 0 {
		c.from, c.to = lead, c.parent.new+indent
	}
	f.empty(c.blanks)
	c.blanks = 0
	f.raw(strings.Repeat(" ", c.to) + s[c.from:])
	return true
}

// endText decides whose the empty lines behind a text are.
func (f *layout) endText() {
	if f.open.keep {
		f.empty(f.open.blanks)
	} else {
		f.blanks = f.open.blanks
	}
	f.open = carry{}
}

func (f *layout) empty(n int) {
	for range n {
		f.raw("")
	}
}

// goOn writes a line more of a plain scalar: every empty line before it is a part of it.
func (f *layout) goOn(s, body string) {
	c := f.open
	f.empty(f.blanks)
	f.blanks = 0
	text, comment := body, ""
	if n := commentAt(body); n >= 0 {
		text, comment = body[:n], body[n:]
		f.open = carry{}
	}
	f.write(c.column(len(s)-len(body)), c.shift, strings.TrimRight(text, " \t"), s, comment)
}

// column is where a further line of something goes: right of what it belongs to, if it was.
func (c *carry) column(ind int) int {
	least := max(c.parent.new, 0)
	if ind > c.parent.old && c.parent.old >= 0 {
		least++
	}
	return max(ind+c.shift, least)
}

// within reads a line inside of brackets or quotes.
func (f *layout) within(s string) bool {
	body := strings.TrimLeft(s, " \t")
	if body == "" {
		f.raw("")
		return true
	}
	c := f.open
	var b strings.Builder
	rest := f.open.copy(&b, body)
	comment, ok := f.behind(rest)
	f.write(c.column(len(s)-len(body)), c.shift, b.String(), s, comment)
	return ok
}
