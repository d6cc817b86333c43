package yaml

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestAt(t *testing.T) {
	doc, err := Parse("f", []byte("routes:\n- name: a\n  é: [x, yy, z]\n- {name: b, claim/a.b: {has: [c]}}\n"), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path string
		want Pos
		ok   bool
	}{
		{"", Pos{1, 1}, true},
		{"routes", Pos{2, 1}, true},
		{"routes[0]", Pos{2, 3}, true},
		{"routes[0].name", Pos{2, 9}, true},
		{"routes[0].é[2]", Pos{3, 14}, true},
		{"routes[1].claim/a.b.has[0]", Pos{4, 31}, true},
		{"routes[1].cluster", Pos{4, 3}, false},
		{"routes[2]", Pos{2, 1}, false},
		{"routes[-1]", Pos{2, 1}, false},
		{"routes[x", Pos{2, 1}, false},
		{"nothing", Pos{1, 1}, false},
	} {
		if got, ok := doc.At(tt.path); got != tt.want || ok != tt.ok {
			t.Errorf("At(%q) = %v, %v; want %v, %v", tt.path, got, ok, tt.want, tt.ok)
		}
	}
}

// What a hostile file may cost is bounded before it is spent.
func TestHostileFilesAreRefused(t *testing.T) {
	laughs := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 12; i++ {
		alias := fmt.Sprintf("*a%d,", i-1)
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.Repeat(alias, 10))
	}
	n := 20_000
	for name, src := range map[string]string{
		"laughs":   laughs,
		"brackets": strings.Repeat("[", n),
		"braces":   strings.Repeat("{a: ", n),
		"dashes":   strings.Repeat("- ", n),
		"tags":     strings.Repeat("!a ", n),
		"anchors":  strings.Repeat("&a ", n),
		"keys":     strings.Repeat("? ", n),
		"flow ?":   "[" + strings.Repeat("? ", n),
		"flow :":   "[" + strings.Repeat("a: ", n),
		"indent":   indented(1000),
		"wide":     "a:\n" + strings.Repeat(" b:\n", 20_000),
		"top":      strings.Repeat("b:\n", 20_000),
		"too big":  strings.Repeat("a", 2<<20),
		"values":   "a: [" + strings.Repeat("x,", 20_000) + "]",
		"not text": "a: \xff",
		"NUL":      "a: [\x00",
	} {
		start := time.Now()
		if _, err := Parse(name, []byte(src), Limits{Values: 10_000}); err == nil {
			t.Errorf("%s: accepted", name)
		}
		t.Logf("%s: %v", name, time.Since(start).Round(time.Millisecond))
	}
}

func indented(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%sa:\n", strings.Repeat(" ", i))
	}
	return b.String()
}

func TestOnlySoManyFaultsAreKept(t *testing.T) {
	var src strings.Builder
	for i := range 150 {
		fmt.Fprintf(&src, "k%d: 1\n", i)
	}
	_, err := decode(t, src.String())
	if got, want := err.Error(), "150 errors in edge.yaml (the first 100 shown); nothing was changed."; !strings.HasSuffix(got, want) {
		t.Errorf("got %s, want %s", got[len(got)-100:], want)
	}
}

func TestExcerptIsSafeToPrint(t *testing.T) {
	_, err := decode(t, strings.Repeat(" ", 0)+"labels: {a: \"\u202e\u0085\", "+strings.Repeat("é", 300)+": 1}")
	for _, r := range err.Error() {
		if r == '\u202e' || r == '\u0085' {
			t.Errorf("control character %U in %q", r, err)
		}
	}
	for line := range strings.Lines(err.Error()) {
		if strings.HasPrefix(line, ">") && len([]rune(line)) > excerptWidth+10 {
			t.Errorf("a line of %d characters", len([]rune(line)))
		}
	}
}

const routes = `# a file
x-a: &a {has: b}
routes:
  # the first
  - name: r0
    policy: [{allow: *a}]

  - name: r1
    text: |
      - name: no item
    - x
  - {name: r2}
clusters:
  app: {endpoints: [a]}
tcp_routes:
- a
-
  b: c
- - d
x-end: 1
`

// Reading by pieces must give exactly what reading whole gives.
func TestPiecesEqualWhole(t *testing.T) {
	good := strings.Replace(routes, "    - x\n", "", 1)
	for _, size := range []int{1, 20, 1000} {
		equalByPieces(t, good, size, true)
	}
}

// What looks like pieces but is not a plain block mapping must not be put together.
func TestPiecesThatDoNotFit(t *testing.T) {
	for _, src := range []string{
		"{}\n0:\n", "a:\n - b\n c: d\n", "a:\n b: c\n - d\n", "a:\n {b: c}\n {d: e}\n", "a: b\na:\n- c\n", "a:\n b: c\n b: d\n",
		"~\n~\n", "a: \"x\nb: y\"\n", "a\nb\n",
	} {
		for _, size := range []int{1, 8} {
			c := &converter{doc: &Document{file: newSource("f", src)}, limits: Limits{}.withDefaults(), anchors: map[string]Node{}}
			if pieces := splitLines(c.doc.file, size); len(pieces) > 1 && c.pieces(pieces) {
				t.Errorf("size %d: %q: put together to %v", size, src, c.doc.root)
			}
		}
	}
}

func equalByPieces(t *testing.T, src string, size int, must bool) {
	t.Helper()
	limits := Limits{}.withDefaults()
	whole, wholeErr := Parse("f", []byte(src), limits)
	c := &converter{doc: &Document{file: newSource("f", src)}, limits: limits, anchors: map[string]Node{}}
	pieces := splitLines(c.doc.file, size)
	if !c.pieces(pieces) {
		if must {
			t.Errorf("size %d: not readable by pieces: %v", size, &c.faults)
		}
		return // then it is read whole
	}
	if len(pieces) < 2 {
		return
	}
	if wholeErr != nil && !must {
		return // the library stumbles over some odd but right files when it reads them whole
	}
	if wholeErr != nil {
		t.Errorf("size %d: %q: accepted by pieces, but whole: %v", size, src, wholeErr)
		return
	}
	if same := reflect.DeepEqual(c.doc.root, whole.root); !same && (must || !equalValues(c.doc.root, whole.root)) {
		t.Errorf("size %d: %q\npieces %v\nwhole  %v", size, src, c.doc.root, whole.root)
	}
}

// equalValues compares all but places: those of odd scalars of several lines depend on
// what follows them.
func equalValues(a, b Node) bool {
	return a.kind == b.kind && a.text == b.text && slices.EqualFunc(a.items, b.items, equalValues)
}

func FuzzPieces(f *testing.F) {
	f.Add(routes)
	f.Add("a:\n- b\n- c\nd: \"x\n- e\"\n")
	f.Add("a:\n- [b,\n- c]\n")
	f.Add("a:\n- 'b\n- c'\n- d\n")
	f.Add("a:\n- b\n---\nc: d\n")
	f.Add("a:\n  b: c\n  d:\n  e: \"\n  f: \"\n  ? g\n")
	f.Add("a:\n b\n c: d\ne:\n <<: x\n y: z\n")
	f.Add("a:\n- b\n c\n- d: |\n  e\n- f\n")
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 4096 || strings.ContainsFunc(src, notText) || !utf8.ValidString(src) || tooDeepText(src) {
			return
		}
		equalByPieces(t, src, 1, false)
	})
}

// tooDeepText spares the fuzzer files that are slow for no new reason.
func tooDeepText(src string) bool { return strings.Count(src, "[")+strings.Count(src, "{") > 100 }

func FuzzParse(f *testing.F) {
	f.Add([]byte(routes))
	f.Add([]byte("a: &b [*b]\n"))
	f.Add([]byte("a: !!str 1\n? b\n: c\n<<: {d: e}\n"))
	f.Add([]byte("version: 1\nlisteners: [{address: \"x\", drain_timeout: 30}]\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 1<<14 {
			return
		}
		doc, err := Parse("f", src, Limits{Values: 10_000})
		if err != nil {
			if err.(*Faults).Count() == 0 || err.Error() == "" {
				t.Fatal("an error without a fault")
			}
			return
		}
		var e edge
		if err := doc.Decode(&e); err != nil {
			for _, f := range err.(*Faults).List() {
				if f.Line < 1 || f.Col < 1 || f.Message == "" {
					t.Fatalf("%+v", f)
				}
			}
			_ = err.Error()
		}
	})
}

func BenchmarkParseLarge(b *testing.B) {
	var src strings.Builder
	src.WriteString("routes:\n")
	for i := range 10_000 {
		fmt.Fprintf(&src, "- name: r%d\n  hosts: [h%d.example.com]\n  path: {prefix: /app%d/}\n  methods: [GET, POST]\n  cluster: app\n  policy: [{allow: {and: [{groups: {has: g%d}}]}}]\n", i, i, i, i%50)
	}
	b.SetBytes(int64(src.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("f", []byte(src.String()), Limits{Size: 64 << 20}); err != nil {
			b.Fatal(err)
		}
	}
}
