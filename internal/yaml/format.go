package yaml

import (
	"strings"
	"unicode/utf8"
)

// Format lays a file out in one way: two columns for each level, lists at the column of their key,
// one space behind ':', '-' and ',', none inside brackets, no more than one empty line together, none
// at the ends, no space at the end of a line, LF. Words, quotes, order and comments stay as they are,
// and so do the lines of texts and brackets that take several. What it returns says the same as src:
// both are read and compared, and differ in white space alone. Where they would not, or where src is written in a way that
// it does not know (a key behind "?", a lone CR), the error says so. Formatting again changes nothing: that is tried, too.
// The error is a *Faults, also where src is not readable.
func Format(name string, src []byte, limits Limits) ([]byte, error) {
	before, err := Parse(name, src, limits)
	if err != nil {
		return nil, err
	}
	out, line := lay(before.file.text)
	if line > 0 {
		return nil, unknownLayout(before, line)
	}
	after, err := Parse(name, []byte(out), limits)
	if err != nil || !same(before.root, after.root) {
		return nil, unknownLayout(before, 1)
	}
	if again, line := lay(out); line > 0 || again != out || !onlySpace(before.file.text, out) {
		return nil, unknownLayout(before, 1)
	}
	return []byte(out), nil
}

// lay lays a text out, or returns the number of the first line that it does not know.
func lay(text string) (out string, unknown int) {
	text, ended := strings.CutSuffix(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	f := &layout{}
	for i, line := range strings.Split(text, "\n") {
		if strings.Contains(line, "\r") || !f.line(line) {
			return "", i + 1
		}
	}
	return f.finish(ended), 0
}

// onlySpace reports whether two texts differ in white space alone: no comment was lost.
func onlySpace(a, b string) bool {
	bare := func(s string) string {
		return strings.Map(func(r rune) rune {
			if strings.ContainsRune(" \t\r\n", r) {
				return -1
			}
			return r
		}, s)
	}
	return bare(a) == bare(b)
}

func unknownLayout(d *Document, line int) error {
	var f Faults
	f.Add(d.FaultAt(Pos{line, 1}, "", "this is written in a way that cannot be laid out without a change of what it says").Of(Layout))
	return &f
}

// same reports whether two trees say the same, wherever it stands.
func same(a, b Node) bool {
	if a.kind != b.kind || a.text != b.text || len(a.items) != len(b.items) {
		return false
	}
	for i := range a.items {
		if !same(a.items[i], b.items[i]) {
			return false
		}
	}
	return true
}

// layout is one run of Format. It reads lines, not values: which column a line gets follows from
// the columns of those before it.
type layout struct {
	out      strings.Builder
	levels   []level
	blanks   int       // empty lines that were read, and not written yet
	comments []comment // on lines of their own, not written yet
	open     carry     // what the line before has left open
}

// level is a mapping or a list in block style: where it stood, and where it is put.
type level struct {
	old, new int
	list     bool
}

// comment waits for the line that it stands before: that says where it belongs.
type comment struct {
	old   int
	blank bool // an empty line before it
	text  string
}

// line reads one line, without its end. It reports false if it does not know what that is.
func (f *layout) line(s string) bool {
	switch f.open.kind {
	case openBlock:
		if f.blockText(s) {
			return true
		}
	case openFlow:
		return f.within(s)
	case openNothing, openPlain:
	}
	body := strings.TrimLeft(s, " ")
	ind := len(s) - len(body)
	switch bare := strings.Trim(body, " \t"); {
	case bare == "":
		f.blanks++
		return true
	case bare[0] == '#':
		f.comments = append(f.comments, comment{columnOf(s, bare), f.blanks > 0, bare})
		f.blanks, f.open = 0, carry{}
		return true
	case f.open.kind == openPlain && ind > f.open.parent.old:
		f.goOn(s, body)
		return true
	case bare == "---" && ind == 0 && len(f.levels) == 0 && !strings.Contains("\n"+f.out.String(), "\n---"):
		f.flush(0, 0, false, nil)
		f.raw(bare)
		return true
	case strings.HasPrefix(bare, "--- ") || bare == "..." || bare == "---" || bare[0] == '%' || body[0] == '\t':
		return false
	}
	f.open = carry{}
	return f.content(s, body, ind)
}

// content reads a line that begins an item, an entry, or a value on a line of its own.
func (f *layout) content(s, body string, ind int) bool {
	var was []level
	if len(f.comments) > 0 {
		was = append(was, f.levels...)
	}
	first, opens := f.enter(ind, isItem(body))
	opened := opens
	col, at, rest := first, ind, body
	var b strings.Builder
	for isItem(rest) {
		if opens {
			f.levels = append(f.levels, level{at, col, true})
		}
		after := strings.TrimLeft(rest[1:], " \t")
		separate(&b)
		b.WriteByte('-')
		at, col, opens = at+len(rest)-len(after), col+indent, true
		rest = after
	}
	key, after, isKey := cutKey(rest)
	switch {
	case isKey && opens:
		f.levels = append(f.levels, level{at, col, false})
	case !isKey && !opens:
		return false
	}
	if isKey {
		separate(&b)
		b.WriteString(key)
		b.WriteByte(':')
		rest = after
	}
	rest, ok := f.value(&b, rest, first-ind)
	if !ok {
		return false
	}
	f.flush(ind, first, opened, was)
	f.write(first, first-ind, b.String(), s, rest)
	return true
}

// indent is how many columns a level is further right.
const indent = 2

// enter leaves the levels that a line at column ind is not in, and says which column it gets
// and whether it begins a level.
func (f *layout) enter(ind int, item bool) (col int, opens bool) {
	for n := len(f.levels); n > 0; n-- {
		if top := f.levels[n-1]; top.old < ind || top.old == ind && (!top.list || item) {
			break
		}
		f.levels = f.levels[:n-1]
	}
	if len(f.levels) == 0 {
		return 0, true
	}
	switch top := f.top(); {
	case top.old == ind && top.list == item:
		return top.new, false
	case item && !top.list:
		return top.new, true
	default:
		return top.new + indent, true
	}
}

// top is the innermost level; one left of everything if there is none.
func (f *layout) top() level {
	if n := len(f.levels); n > 0 {
		return f.levels[n-1]
	}
	return level{old: -1, new: -1}
}

// flush writes the comments and one of the empty lines before a line at ind, which gets col. was
// are the levels before that line.
func (f *layout) flush(ind, col int, opens bool, was []level) {
	for _, c := range f.comments {
		to, deepest := 0, -1
		for _, l := range was {
			if l.old <= c.old {
				to = l.new
			}
			deepest = l.old
		}
		if c.old == ind || opens && ind > deepest && c.old > deepest {
			to = col
		}
		if c.blank && f.out.Len() > 0 {
			f.raw("")
		}
		f.raw(strings.Repeat(" ", to) + c.text)
	}
	if f.blanks > 0 && f.out.Len() > 0 && ind >= 0 {
		f.raw("")
	}
	f.comments, f.blanks = f.comments[:0], 0
}

// write writes a line at col, which moved by shift, with the comment that its source s ends in.
// Comments that stood below one another do so again, if there is room.
func (f *layout) write(col, shift int, text, s, comment string) {
	line := strings.Repeat(" ", col) + text
	if comment != "" {
		comment = strings.TrimRight(comment, " \t")
		if text != "" {
			have := utf8.RuneCountInString(line)
			line += strings.Repeat(" ", max(columnOf(s, comment)+shift-have, 2))
		}
		line += comment
	}
	f.raw(line)
}

func (f *layout) raw(line string) {
	f.out.WriteString(line)
	f.out.WriteByte('\n')
}

// finish writes what waits, and returns everything.
func (f *layout) finish(ended bool) string {
	inText := f.open.kind == openBlock
	if inText {
		f.endText()
	}
	f.flush(-1, 0, false, f.levels)
	if inText && !ended { // one more line end would belong to the text
		return strings.TrimSuffix(f.out.String(), "\n")
	}
	return f.out.String()
}

// columnOf is where what a line ends in begins, in characters, however many spaces follow it.
func columnOf(s, tail string) int {
	return utf8.RuneCountInString(s[:strings.LastIndex(s, tail)])
}

func isItem(s string) bool {
	return s == "-" || strings.HasPrefix(s, "- ") || strings.HasPrefix(s, "-\t")
}

// separate puts a space between two words.
func separate(b *strings.Builder) {
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
}
