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
	open  bool   // the last line has no end
	cr    string // that is at the end of lines: "\r" or nothing
}

func newSource(f File) *source {
	text := string(f.Text)
	s := &source{name: f.Name, lines: strings.Split(strings.TrimSuffix(text, "\n"), "\n"),
		json: strings.HasPrefix(strings.TrimSpace(text), "{"), open: !strings.HasSuffix(text, "\n")}
	if strings.Contains(text, "\r\n") {
		s.cr = "\r"
	}
	return s
}

// line is one of them, from 1, without a carriage return; empty beyond the end.
func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return strings.TrimSuffix(s.lines[n-1], "\r")
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

// insertAfter adds "key: value" after the line of an entry, as deep as its key. In JSON the entry
// has to end its line; in YAML it has to be alone on it, and the whole of it has to be there.
func (s *source) insertAfter(key, of spot, old, name, value string) edit {
	line := []rune(strings.TrimRight(s.line(key.line), " \t"))
	if from := of.col - 1; key.line != of.line || key.col-1 > len(line) || from < 0 || from > len(line) {
		return edit{}
	} else if s.json {
		if rest := string(line[from:]); rest != `"`+old+`",` && rest != old+"," {
			return edit{}
		}
		return edit{file: s.name, line: key.line, after: true, text: spaces(key.col-1) + fmt.Sprintf("%q: %s,", name, value) + s.cr}
	}
	before, next := string(line[:key.col-1]), s.line(key.line+1)
	deep := len(next) - len(strings.TrimLeft(next, " "))
	if strings.Trim(before, " -") != "" || strings.TrimSpace(next) == "" && key.line < len(s.lines) || strings.TrimSpace(next) != "" && deep >= key.col {
		return edit{} // it stands within a flow mapping, or goes on in the next line
	}
	return edit{file: s.name, line: key.line, after: true, text: spaces(key.col-1) + name + ": " + value + s.cr}
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

const (
	contextLines = 3
	noNewline    = "\\ No newline at end of file\n"
)

// diff writes the hunks of a file's edits, which are in order.
func diff(b *strings.Builder, src *source, edits []edit) {
	if len(edits) == 0 {
		return
	}
	name := src.name
	if strings.Contains(name, " ") {
		name += "\t" // where it ends, to patch
	}
	fmt.Fprintf(b, "--- %s\n+++ %s\n", name, name)
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
	from := edits[0].line - contextLines
	if edits[0].after {
		from++ // with more context before than after, patch takes it for the end of the file
	}
	from = max(from, 1)
	to := min(edits[len(edits)-1].line+contextLines, len(src.lines))
	var body strings.Builder
	for l := from; l <= to; l++ {
		kept, line := true, src.lines[l-1]
		for _, e := range edits {
			if e.line == l && !e.after {
				kept = false
				if l == len(src.lines) && src.open {
					line += "\n" + strings.TrimSuffix(noNewline, "\n") // and the new one gets an end
				}
				fmt.Fprintf(&body, "-%s\n+%s\n", line, e.text)
			}
		}
		after := slices.DeleteFunc(slices.Clone(edits), func(e edit) bool { return e.line != l || !e.after })
		noEnd := l == len(src.lines) && src.open
		switch {
		case kept && noEnd && len(after) > 0: // it gets an end
			fmt.Fprintf(&body, "-%s\n%s+%s\n", line, noNewline, line)
			noEnd = false
		case kept:
			fmt.Fprintf(&body, " %s\n", line)
		}
		for _, e := range after {
			added++
			fmt.Fprintf(&body, "+%s\n", e.text)
		}
		if noEnd && kept {
			body.WriteString(noNewline)
		}
	}
	fmt.Fprintf(b, "@@ -%d,%d +%d,%d @@\n%s", from, to-from+1, from+before, to-from+1+added, body.String())
	return added
}
