package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// source is a file and its lines.
type source struct {
	name  string
	lines []string // without their ends
	json  bool
}

func newSource(f File) *source {
	return &source{name: f.Name, lines: strings.Split(strings.TrimSuffix(string(f.Text), "\n"), "\n"),
		json: strings.HasPrefix(strings.TrimSpace(string(f.Text)), "{")}
}

// edit changes one line of a file. The zero edit changes nothing.
type edit struct {
	file  string
	line  int    // from 1
	after bool   // text is a new line after it; otherwise it replaces it
	text  string // without its end
}

// replaceAt writes value over the scalar at a place.
func (s *source) replaceAt(at spot, old, value string) edit {
	if at.line < 1 || at.line > len(s.lines) {
		return edit{}
	}
	line := []rune(s.lines[at.line-1])
	from := at.col - 1
	if from < 0 || from > len(line) {
		return edit{}
	}
	rest := string(line[from:])
	token := old
	if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
		token = rest[:1] + old + rest[:1]
		value = rest[:1] + value + rest[:1]
	}
	if old == "" || !strings.HasPrefix(rest, token) {
		return edit{}
	}
	return edit{file: s.name, line: at.line, text: string(line[:from]) + value + strings.TrimPrefix(rest, token)}
}

// insertAfter adds "key: value" after the line of an entry, as deep as its key.
func (s *source) insertAfter(key spot, name, value string) edit {
	if key.line < 1 || key.line > len(s.lines) {
		return edit{}
	}
	line := strings.TrimRight(s.lines[key.line-1], " \t\r")
	if s.json {
		if !strings.HasSuffix(line, ",") {
			return edit{}
		}
		return edit{file: s.name, line: key.line, after: true, text: spaces(key.col-1) + fmt.Sprintf("%q: %s,", name, value)}
	}
	if strings.HasSuffix(line, "|") || strings.HasSuffix(line, ">") || strings.HasSuffix(line, "|-") || strings.HasSuffix(line, ">-") || strings.HasSuffix(line, ",") {
		return edit{} // a block begins here, or this is a flow mapping
	}
	return edit{file: s.name, line: key.line, after: true, text: spaces(key.col-1) + name + ": " + value}
}

// Patch is a unified diff (patch -p0) of the edits of all findings: one for a line, the first
// finding's. It is empty where nothing can be put right by lines.
func (r *Report) Patch() string {
	var b strings.Builder
	for _, src := range r.sources {
		var edits []edit
		for _, f := range r.Findings {
			e := f.edit
			if e.file == src.name && !slices.ContainsFunc(edits, func(o edit) bool { return o == e || o.line == e.line && !o.after && !e.after }) {
				edits = append(edits, e)
			}
		}
		slices.SortStableFunc(edits, func(a, b edit) int { return a.line - b.line })
		diff(&b, src, edits)
	}
	return b.String()
}

const contextLines = 3

// diff writes the hunks of a file's edits, which are in order.
func diff(b *strings.Builder, src *source, edits []edit) {
	if len(edits) == 0 {
		return
	}
	fmt.Fprintf(b, "--- %s\n+++ %s\n", src.name, src.name)
	added := 0 // lines so far
	for len(edits) > 0 {
		n := 1
		for n < len(edits) && edits[n].line-edits[n-1].line <= 2*contextLines {
			n++
		}
		added += hunk(b, src, edits[:n], added)
		edits = edits[n:]
	}
}

// hunk writes edits that stand together, and returns how many lines they add.
func hunk(b *strings.Builder, src *source, edits []edit, before int) (added int) {
	from := max(edits[0].line-contextLines, 1)
	to := min(edits[len(edits)-1].line+contextLines, len(src.lines))
	var body strings.Builder
	for l := from; l <= to; l++ {
		kept, line := true, src.lines[l-1]
		for _, e := range edits {
			if e.line == l && !e.after {
				kept = false
				fmt.Fprintf(&body, "-%s\n+%s\n", line, e.text)
			}
		}
		if kept {
			fmt.Fprintf(&body, " %s\n", line)
		}
		for _, e := range edits {
			if e.line == l && e.after {
				added++
				fmt.Fprintf(&body, "+%s\n", e.text)
			}
		}
	}
	fmt.Fprintf(b, "@@ -%d,%d +%d,%d @@\n%s", from, to-from+1, from+before, to-from+1+added, body.String())
	return added
}
