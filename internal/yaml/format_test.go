package yaml

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFormat(t *testing.T) {
	for _, tt := range []struct{ name, src, want string }{
		{"nothing", "", ""},
		{"empty lines", "\n\na: 1\n\n\n\nb: 2\n\n\n", "a: 1\n\nb: 2\n"},
		{"line ends", "\uFEFFa: 1\r\nb: 2", "a: 1\nb: 2\n"},
		{"spaces", "a:    1   \nb :  x y\n", "a: 1\nb: x y\n"},
		{"indent", "a:\n      b:\n           c: 1\n      d: 2\n", "a:\n  b:\n    c: 1\n  d: 2\n"},
		{"lists", "a:\n    -   b: 1\n        c: 2\n    -   - d\n        - e\nf:\n- g\n", "a:\n- b: 1\n  c: 2\n- - d\n  - e\nf:\n- g\n"},
		{"a value below its key", "a:\n      b c\n      d\ne:\n   -\n      f: 1\n", "a:\n  b c\n  d\ne:\n-\n  f: 1\n"},
		{"brackets", "a: { b: [ 1,2 , 3 ],c: \"x\" }\nd: [ ]\ne: {f: 127.0.0.1:80,g: x y}\n", "a: {b: [1, 2, 3], c: \"x\"}\nd: []\ne: {f: 127.0.0.1:80, g: x y}\n"},
		{"brackets of several lines", "a:\n    b: [\n        1,   # one\n        {x:  1},\n    ]\n    c: 2\n", "a:\n  b: [\n      1,   # one\n      {x: 1},\n  ]\n  c: 2\n"},
		{"quotes", "a: 'it''s # no comment: x'   # one\nb: \"a \\\" # b\"\n\"c d\" : 1\n", "a: 'it''s # no comment: x'   # one\nb: \"a \\\" # b\"\n\"c d\": 1\n"},
		{"a plain text of several lines", "a:\n    b: one\n       two\n\n\n       three\n    c: 1\n", "a:\n  b: one\n     two\n\n\n     three\n  c: 1\n"},
		{"a quoted text of several lines", "a:\n    b: \"one\n      two # x\n\n      three\"   # c\n    c: 1\n", "a:\n  b: \"one\n    two # x\n\n    three\"   # c\n  c: 1\n"},
		{"a literal text", "a:\n    b: |\n        one\n          two # x  \n\n        three\n    c: 1\n", "a:\n  b: |\n    one\n      two # x  \n\n    three\n  c: 1\n"},
		{"a literal text that keeps its end", "a: |+\n   x\n\n\nb: >-\n     y\n\n\nc: 1\n", "a: |+\n  x\n\n\nb: >-\n  y\n\nc: 1\n"},
		{"a literal text with its indent", "a:\n    b: |2\n         x\n      y\n", "a:\n  b: |2\n       x\n    y\n"},
		{"a literal text at the end", "a: |\n    x", "a: |\n  x"},
		{"comments", "#  top\n\n\na:\n  # of b\n    b: 1\n    # of c, which is\n\n    c: 2\n    # the last of a\n# of d\nd: 3\n  # end\n", "#  top\n\na:\n  # of b\n  b: 1\n  # of c, which is\n\n  c: 2\n  # the last of a\n# of d\nd: 3\n# end\n"},
		{"comments behind values", "a:    1    # one\nbcd:  2    # two\ne: 3 # three\n", "a: 1       # one\nbcd: 2     # two\ne: 3  # three\n"},
		{"comments of a list", "a:\n  # first\n  - b   # x\n  # second\n  - c\n", "a:\n# first\n- b   # x\n# second\n- c\n"},
		{"anchors", "x-a:   &a {b: 1}\nc:\n    <<:   *a\n    d: &e\n        - f\n    g: *e\n", "x-a: &a {b: 1}\nc:\n  <<: *a\n  d: &e\n  - f\n  g: *e\n"},
		{"a mark of a document", "# a\n---\nb:   1\n", "# a\n---\nb: 1\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Format("f", []byte(tt.src), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			formatted(t, tt.src)
		})
	}
}

// formatted checks what Format promises: the same tree, and nothing more to do.
func formatted(t *testing.T, src string) {
	t.Helper()
	limits := Limits{Size: 4 << 20}
	once, err := Format("f", []byte(src), limits)
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	before, err := Parse("f", []byte(src), limits)
	if err != nil {
		t.Fatal(err)
	}
	after, err := Parse("f", once, limits)
	if err != nil {
		t.Fatalf("what was laid out is not readable: %v\n%s", err, once)
	}
	if !same(before.root, after.root) {
		t.Fatalf("it says something else:\n%s", once)
	}
	if !onlySpace(before.file.text, string(once)) {
		t.Fatalf("more than white space was changed:\n%s", once)
	}
	twice, err := Format("f", once, limits)
	if err != nil || !bytes.Equal(once, twice) {
		t.Fatalf("once:\n%s\ntwice (%v):\n%s", once, err, twice)
	}
}

// What it cannot lay out it leaves alone, and says so.
func TestFormatRefuses(t *testing.T) {
	for _, src := range []string{"a: 1\nb: [\n", "? a\n: b\n", "a: 1\rb: 2\n"} {
		out, err := Format("f.yaml", []byte(src), Limits{})
		if err == nil || out != nil || !strings.Contains(err.Error(), "f.yaml:") {
			t.Errorf("%q: %q, %v", src, out, err)
		}
	}
	if onlySpace("a # b", "a") || !onlySpace("a:   b # c", "a: b\n# c") {
		t.Error("a comment may be lost")
	}
	if same(Node{kind: String, text: "1"}, Node{kind: Number, text: "1"}) || same(Node{kind: List, items: make([]Node, 1)}, Node{kind: List}) {
		t.Error("the comparison takes anything for the same")
	}
}

// Every file of ours can be laid out.
func TestFormatOurFiles(t *testing.T) {
	n := 0
	err := filepath.WalkDir("../..", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(name) != ".yaml" {
			return err
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if _, err := Parse(name, src, Limits{Size: 4 << 20}); err != nil {
			return nil // several documents, or broken on purpose
		}
		n++
		t.Run(name, func(t *testing.T) { formatted(t, string(src)) })
		return nil
	})
	if err != nil || n < 10 {
		t.Fatalf("%d files, %v", n, err)
	}
}

// written writes a tree as somebody might who lays nothing out: columns, spaces, quotes, comments
// and kinds of brackets at random.
type written struct {
	r *rand.Rand
	b strings.Builder
}

func (w *written) spaces(least, most int) string {
	return strings.Repeat(" ", least+w.r.IntN(most-least+1))
}

func (w *written) one(of ...string) string { return of[w.r.IntN(len(of))] }

func (w *written) end() {
	w.b.WriteString(w.one("", "", " ", "   # c: 'x", " # é"))
	w.b.WriteString("\n")
	for w.r.IntN(5) == 0 {
		w.b.WriteString(w.one("\n", "   \n", w.spaces(0, 6)+"# between: [\n"))
	}
}

func (w *written) plain() string {
	return w.one("x", "12", "true", "'it''s # no'", `"a \" # b: c"`, "a  b", "http://x:80/y", "30s", "-1", "a#b", "it's")
}

func (w *written) flow(depth int) string {
	gap := func() string { return w.spaces(0, 2) }
	switch k := w.r.IntN(4); {
	case depth > 2 || k < 2:
		return w.one("x", "12", `"a, ]"`, "'b }'", "a b", "30s")
	case k == 2:
		return "[" + gap() + w.flow(depth+1) + gap() + "," + w.spaces(1, 2) + w.flow(depth+1) + gap() + "]"
	}
	return "{" + gap() + "a:" + w.spaces(1, 3) + w.flow(depth+1) + gap() + "," + w.spaces(1, 2) + "\"b c\":" + w.spaces(1, 2) + w.flow(depth+1) + gap() + "}"
}

func (w *written) mapping(col, depth int, first bool) {
	for i := range 1 + w.r.IntN(4) {
		if i > 0 || !first {
			w.b.WriteString(strings.Repeat(" ", col))
		}
		fmt.Fprintf(&w.b, "%s%d%s:", w.one("k", "a b", "x-"), i, w.one("", "", " "))
		w.value(col, depth, true)
	}
}

// value writes what follows a key at col, or a dash.
func (w *written) value(col, depth int, ofKey bool) {
	deeper := col + 1 + w.r.IntN(5)
	switch k := w.r.IntN(10); {
	case depth > 4 || k < 3:
		w.b.WriteString(w.spaces(1, 3) + w.plain())
		w.end()
	case k == 3:
		w.b.WriteString(w.spaces(1, 3) + w.flow(0))
		w.end()
	case k == 4:
		fmt.Fprintf(&w.b, "%s%s\n", w.spaces(1, 2), w.one("|", ">", "|-", "|+", ">+"))
		for range 1 + w.r.IntN(3) {
			fmt.Fprintf(&w.b, "%s%s\n", strings.Repeat(" ", deeper), w.one("text # x", "- y: [", "z  "))
			w.b.WriteString(w.one("", "", "\n", "\n\n"))
		}
	case k == 5:
		fmt.Fprintf(&w.b, "%sone\n", w.spaces(1, 3))
		w.b.WriteString(w.one("", "\n", "\n\n"))
		fmt.Fprintf(&w.b, "%stwo\n", strings.Repeat(" ", deeper+w.r.IntN(3)))
	case k == 6:
		fmt.Fprintf(&w.b, "%s\"one\n%stwo # no\"", w.spaces(1, 3), strings.Repeat(" ", deeper))
		w.end()
	case k == 7:
		fmt.Fprintf(&w.b, "%s[1,  # c\n%s{a:   2},\n%s3]", w.spaces(1, 3), strings.Repeat(" ", deeper), strings.Repeat(" ", deeper))
		w.end()
	case k == 8:
		w.end()
		w.mapping(deeper, depth+1, false)
	default:
		w.end()
		if ofKey && w.r.IntN(2) == 0 {
			deeper = col
		}
		for range 1 + w.r.IntN(3) {
			w.b.WriteString(strings.Repeat(" ", deeper) + "-")
			if w.r.IntN(2) == 0 {
				gap := w.spaces(1, 4)
				w.b.WriteString(gap)
				w.mapping(deeper+1+len(gap), depth+1, true)
			} else {
				w.value(deeper, depth+1, false)
			}
		}
	}
}

// FuzzFormatWritten: whatever is laid out at random says the same when it is laid out well. What
// the reader itself does not take is no case.
func FuzzFormatWritten(f *testing.F) {
	for seed := range uint64(400) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		w := &written{r: rand.New(rand.NewPCG(seed, 1))}
		w.mapping(w.r.IntN(3), 0, false)
		if _, err := Parse("f", []byte(w.b.String()), Limits{}); err != nil {
			t.Skip(err)
		}
		formatted(t, w.b.String())
	})
}

// FuzzFormat: any file at all is laid out and says the same, or is refused in words.
func FuzzFormat(f *testing.F) {
	f.Add(routes)
	f.Add("a:\n    - b: 'c\n\n d' # e\n      f: |+2\n         g\n\n")
	f.Add("a: {b: [c, \"d\" :e], f}\n# g\nh:\n- - i\n  - j: k\n")
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 4096 || tooDeepText(src) {
			return
		}
		before, err := Parse("f", []byte(src), Limits{})
		if err != nil {
			return
		}
		once, err := Format("f", []byte(src), Limits{})
		if err != nil {
			if once != nil || err.(*Faults).Count() == 0 {
				t.Fatal("refused, and it returns something")
			}
			return
		}
		after, err := Parse("f", once, Limits{})
		if err != nil || !same(before.root, after.root) {
			t.Fatalf("it says something else (%v):\n%s", err, once)
		}
		if twice, err := Format("f", once, Limits{}); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("once:\n%q\ntwice (%v):\n%q", once, err, twice)
		}
	})
}
