package yaml

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

// The excerpt: how many lines before the faulty one, how wide, and for how many faults.
const (
	excerptBefore = 2
	excerptWidth  = 100
	maxExcerpts   = 10
)

// source is the text of a file, kept for excerpts.
type source struct {
	name  string
	text  string
	lines []int // offset of each line; built by line on first use would race: built by Parse
}

func newSource(name, text string) *source {
	s := &source{name: name, text: text, lines: []int{0}}
	for i := range len(text) {
		if text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// line returns line n, counted from 1, without its end.
func (s *source) line(n int) (string, bool) {
	if s == nil || n < 1 || n > len(s.lines) {
		return "", false
	}
	end := len(s.text)
	if n < len(s.lines) {
		end = s.lines[n] - 1
	}
	return strings.TrimSuffix(s.text[s.lines[n-1]:end], "\r"), true
}

// Error returns the full report: each fault with its place and code, and the first of them
// with an excerpt and a caret.
//
//	edge.yaml:4:5 error [unknown-key] unknown key "drain_timout" in listeners[0]; did you mean "drain_timeout"?
//	   3 |   - address: :8080
//	>  4 |     drain_timout: 30s
//	           ^
//	1 error in edge.yaml; nothing was changed.
func (f *Faults) Error() string {
	var b strings.Builder
	list := f.List()
	width := 0
	for _, x := range list {
		width = max(width, len(x.where()))
	}
	for i, x := range list {
		fmt.Fprintf(&b, "%-*s error [%s] %s\n", width, x.where(), x.Code, x.text())
		if i < maxExcerpts {
			x.excerpt(&b)
		}
	}
	b.WriteString(f.total(list))
	return b.String()
}

// total is the last line of a report.
func (f *Faults) total(list []Fault) string {
	files := map[string]bool{}
	for _, x := range list {
		files[x.File] = true
	}
	where := fmt.Sprintf("%d files", len(files))
	if len(files) == 1 {
		where = list[0].File
	}
	noun := "errors"
	if f.Count() == 1 {
		noun = "error"
	}
	shown := ""
	if f.dropped > 0 {
		shown = fmt.Sprintf(" (the first %d shown)", len(list))
	}
	return fmt.Sprintf("%d %s in %s%s; nothing was changed.", f.Count(), noun, where, shown)
}

// MarshalJSON gives the faults to tools: {"errors": [...], "total": n}.
func (f *Faults) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Errors []Fault `json:"errors"`
		Total  int     `json:"total"`
	}{f.List(), f.Count()})
}

func (f Fault) excerpt(b *strings.Builder) {
	if _, ok := f.source.line(f.Line); !ok {
		return
	}
	// A long line is cut so that the place is in sight.
	from := max(0, f.Col-1-excerptWidth/2)
	for n := max(1, f.Line-excerptBefore); n <= f.Line; n++ {
		mark := ' '
		if n == f.Line {
			mark = '>'
		}
		line, _ := f.source.line(n)
		fmt.Fprintf(b, "%c %2d | %s\n", mark, n, window(line, from))
	}
	margin := len(fmt.Sprintf("> %2d | ", f.Line))
	fmt.Fprintf(b, "%s^\n", strings.Repeat(" ", margin+max(0, f.Col-1-from)))
}

// window returns the part of a line that an excerpt shows. Tabs count as one character;
// what a terminal might obey is replaced.
func window(line string, from int) string {
	var b strings.Builder
	at := 0
	for _, r := range line {
		if at >= from+excerptWidth {
			break
		}
		if at >= from {
			switch {
			case r == '\t':
				r = ' '
			case !unicode.IsPrint(r):
				r = '\uFFFD'
			}
			b.WriteRune(r)
		}
		at++
	}
	return strings.TrimRight(b.String(), " ")
}
