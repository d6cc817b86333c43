package route

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func compile(t testing.TB, specs ...Spec) *Table {
	t.Helper()
	table, err := Compile(specs)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestMatchPrecedence(t *testing.T) {
	specs := []Spec{
		{Name: "any", Path: PathSpec{Prefix: "/"}},
		{Name: "wild", Hosts: []string{"*.example.com"}},
		{Name: "deep-wild", Hosts: []string{"*.b.example.com"}},
		{Name: "exact", Hosts: []string{"app.example.com"}, Path: PathSpec{Prefix: "/a"}},
		{Name: "longer", Hosts: []string{"app.example.com"}, Path: PathSpec{Prefix: "/a/b/"}},
		{Name: "path", Hosts: []string{"app.example.com"}, Path: PathSpec{Exact: "/a/b"}},
		{Name: "get", Hosts: []string{"m.example.com"}, Path: PathSpec{Prefix: "/m"}, Methods: []string{"GET", "HEAD"}},
		{Name: "rest", Hosts: []string{"m.example.com"}, Path: PathSpec{Prefix: "/m"}},
		{Name: "post", Hosts: []string{"m.example.com"}, Path: PathSpec{Prefix: "/m/p"}, Methods: []string{"POST", "PUT"}},
	}
	table := compile(t, specs...)
	for _, tt := range []struct{ host, path, method, want string }{
		{"other.org", "/x", "GET", "any"},
		{"example.com", "/x", "GET", "any"}, // the wildcard is below, not itself
		{"x.example.com", "/x", "GET", "wild"},
		{"y.x.example.com", "/x", "GET", "wild"},
		{"b.example.com", "/", "GET", "wild"},
		{"x.b.example.com", "/", "GET", "deep-wild"},
		{"z.x.b.example.com", "/", "GET", "deep-wild"},
		{"notexample.com", "/", "GET", "any"},
		{"app.example.com", "/a", "GET", "exact"},
		{"app.example.com", "/a/", "GET", "exact"},
		{"app.example.com", "/a/c/d", "GET", "exact"},
		{"app.example.com", "/a/bc", "GET", "exact"},
		{"app.example.com", "/a/b", "GET", "path"},
		{"app.example.com", "/a/b/", "GET", "longer"},
		{"app.example.com", "/a/b/c", "GET", "longer"},
		{"app.example.com", "/ab", "GET", "not found"}, // and not the wildcard's or any's route
		{"app.example.com", "/", "GET", "not found"},
		{"m.example.com", "/m/x", "GET", "get"},
		{"m.example.com", "/m/x", "HEAD", "get"},
		{"m.example.com", "/m/x", "get", "rest"},
		{"m.example.com", "/m/x", "PATCH", "rest"},
		{"m.example.com", "/m/p", "POST", "post"},
		{"m.example.com", "/m/p", "GET", "method not allowed: POST, PUT"},
		{"other.org", "*", "OPTIONS", "not found"},
		{"other.org", "", "GET", "not found"},
		{"", "/", "GET", "any"},
	} {
		i, outcome := table.Match([]byte(tt.host), []byte(tt.path), tt.method)
		got := outcome.String()
		switch outcome {
		case Found:
			got = specs[i].Name
		case MethodNotAllowed:
			got += ": " + table.Allow(i)
		case NotFound:
		}
		if got != tt.want {
			t.Errorf("%s %s%s: %s, want %s", tt.method, tt.host, tt.path, got, tt.want)
		}
	}
}

func TestZeroTableFindsNothing(t *testing.T) {
	if i, outcome := new(Table).Match([]byte("a"), []byte("/"), "GET"); i != -1 || outcome != NotFound {
		t.Errorf("got %d, %v", i, outcome)
	}
}

func TestCompileFaults(t *testing.T) {
	for _, tt := range []struct {
		name  string
		specs []Spec
		want  string
	}{
		{"same host and path", []Spec{{Name: "a", Hosts: []string{"x.org"}}, {Name: "b", Hosts: []string{"X.org."}}},
			`routes "a" and "b" both claim x.org/ (prefix)`},
		{"same but for the slash", []Spec{{Name: "a", Path: PathSpec{Prefix: "/p"}}, {Name: "b", Path: PathSpec{Prefix: "/p/"}}},
			`routes "a" and "b" both claim */p (prefix)`},
		{"one method", []Spec{
			{Name: "a", Hosts: []string{"*.x.org"}, Path: PathSpec{Exact: "/p"}, Methods: []string{"GET", "PUT"}},
			{Name: "b", Hosts: []string{"*.x.org"}, Path: PathSpec{Exact: "/p"}, Methods: []string{"POST", "PUT"}}},
			`routes "a" and "b" both claim PUT *.x.org/p (exact)`},
		{"twice in one route", []Spec{{Name: "a", Hosts: []string{"x.org", "X.org"}}},
			`route "a": hosts, methods: x.org/ (prefix) is named twice`},
		{"both paths", []Spec{{Name: "a", Path: PathSpec{Exact: "/a", Prefix: "/b"}}}, `route "a": path: both exact and prefix; choose one`},
		{"relative path", []Spec{{Name: "a", Path: PathSpec{Prefix: "x"}}}, `route "a": path.prefix: "x": the path does not begin with a slash`},
		{"dead path", []Spec{{Name: "a", Path: PathSpec{Exact: "/a/../b"}}}, `route "a": path.exact: "/a/../b" is never seen in this form; write "/b"`},
		{"raw bytes", []Spec{{Name: "a", Path: PathSpec{Exact: "/é"}}}, `route "a": path.exact: "/é": the path contains a byte that must be percent-encoded`},
		{"too deep", []Spec{{Name: "a", Path: PathSpec{Prefix: strings.Repeat("/a", 64)}}}, `route "a": path.prefix: 64 segments, at most 63`},
		{"method", []Spec{{Name: "a", Methods: []string{"GET", "get"}}}, `route "a": methods[1]: "get" is not a method`},
		{"host", []Spec{{Name: "a", Hosts: []string{"x.org:1"}}}, `route "a": hosts[0]: "x.org:1": a route's host has no port`},
	} {
		table, err := Compile(tt.specs)
		if table != nil || err == nil {
			t.Errorf("%s: no fault", tt.name)
			continue
		}
		if got := err.Error(); !strings.Contains(got, "* "+tt.want+"\n") {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestCompileReportsAllFaults(t *testing.T) {
	_, err := Compile([]Spec{
		{Name: "a", Hosts: []string{"a b"}},
		{Name: "b", Path: PathSpec{Exact: "x"}},
		{Name: "c"}, {Name: "d"},
	})
	var spec *SpecError
	var conflict *ConflictError
	if !errors.As(err, &spec) || spec.Index != 0 || !errors.Is(err, ErrPathNotAbsolute) {
		t.Errorf("spec fault missing in %v", err)
	}
	if !errors.As(err, &conflict) || conflict.First != 2 || conflict.Second != 3 {
		t.Errorf("conflict missing in %v", err)
	}
}

// The size of the table must not change what a host matches (a class of CVE in others).
func TestMatchIsTheSameAtEverySize(t *testing.T) {
	for _, n := range []int{1, 2, 99, 100, 101, 10_000} {
		specs := manyRoutes(n)
		table := compile(t, specs...)
		for i := range specs {
			for _, authority := range []string{"h%d.example.com", "H%d.Example.COM", "h%d.example.com.", "h%d.example.com.:8443"} {
				host, _, err := NormalizeHost(nil, fmt.Appendf(nil, authority, i))
				if err != nil {
					t.Fatal(err)
				}
				if got, outcome := table.Match(host, fmt.Appendf(nil, "/app%d/x", i), "GET"); got != i || outcome != Found {
					t.Fatalf("n=%d, %s: route %d, %v; want %d", n, host, got, outcome, i)
				}
			}
		}
	}
}

// A path of thousands of segments costs no more than the deepest prefix.
func TestMatchLooksNoDeeperThanItsPrefixes(t *testing.T) {
	table := compile(t, Spec{Name: "a", Path: PathSpec{Prefix: "/a/a"}}, Spec{Name: "deep", Hosts: []string{"d.org"}, Path: PathSpec{Prefix: strings.Repeat("/a", 63)}})
	long := []byte(strings.Repeat("/a", 4000))
	if i, outcome := table.Match([]byte("x"), long, "GET"); i != 0 || outcome != Found {
		t.Errorf("got %d, %v", i, outcome)
	}
	if i, outcome := table.Match([]byte("d.org"), long, "GET"); i != 1 || outcome != Found {
		t.Errorf("got %d, %v", i, outcome)
	}
	if _, outcome := table.Match([]byte("d.org"), long[:2*62], "GET"); outcome != NotFound {
		t.Errorf("got %v", outcome)
	}
}

// TestMatchAgainstReference compares random tables with a reading of DESIGN's
// precedence that looks at every route.
func TestMatchAgainstReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	path := func() string {
		var b strings.Builder
		for range rng.IntN(4) {
			b.WriteString("/" + pick("a", "b", "ab"))
		}
		if b.Len() == 0 || rng.IntN(3) == 0 {
			b.WriteString("/")
		}
		return b.String()
	}
	found := map[Outcome]int{}
	for range 2000 {
		var specs []Spec
		for i := range 1 + rng.IntN(12) {
			s := Spec{Name: fmt.Sprint(i), Hosts: []string{pick("a.b.c", "b.c", "*.c", "*.b.c", "*")}}
			if rng.IntN(2) == 0 {
				s.Path.Exact = path()
			} else {
				s.Path.Prefix = path()
			}
			if rng.IntN(2) == 0 {
				s.Methods = []string{pick("GET", "PUT")}
			}
			if _, err := Compile(append(specs, s)); err == nil { // else a conflict: leave it out
				specs = append(specs, s)
			}
		}
		table := compile(t, specs...)
		for range 20 {
			host, path, method := pick("a.b.c", "b.c", "x.b.c", "x.c", "c", "z"), path(), pick("GET", "PUT", "POST")
			got, outcome := table.Match([]byte(host), []byte(path), method)
			if outcome == MethodNotAllowed {
				got = -1
			}
			want, wantOutcome := reference(specs, host, path, method)
			if got != want || outcome != wantOutcome {
				t.Fatalf("%+v\n%s %s%s: %d, %v; want %d, %v", specs, method, host, path, got, outcome, want, wantOutcome)
			}
			found[outcome]++
		}
	}
	for _, o := range []Outcome{Found, NotFound, MethodNotAllowed} {
		if found[o] < 1000 {
			t.Errorf("only %d cases were %v", found[o], o)
		}
	}
}

func reference(specs []Spec, host, path, method string) (int, Outcome) {
	hostScore := func(p string) int {
		switch rest, wild := strings.CutPrefix(p, "*."); {
		case p == host:
			return 1000
		case wild && strings.HasSuffix(host, "."+rest):
			return len(rest)
		case p == "*":
			return 0
		}
		return -1
	}
	pathScore := func(p PathSpec) int {
		prefix := strings.TrimSuffix(p.Prefix, "/")
		switch {
		case p.Exact == path:
			return 1000
		case p.Exact == "" && (path == prefix || strings.HasPrefix(path, prefix+"/")):
			return len(prefix)
		}
		return -1
	}
	bestHost, bestPath := -1, -1
	for _, s := range specs {
		bestHost = max(bestHost, hostScore(s.Hosts[0]))
	}
	for _, s := range specs {
		if hostScore(s.Hosts[0]) == bestHost && bestHost >= 0 {
			bestPath = max(bestPath, pathScore(s.Path))
		}
	}
	if bestPath < 0 {
		return -1, NotFound
	}
	index, outcome := -1, MethodNotAllowed
	for i, s := range specs {
		if hostScore(s.Hosts[0]) != bestHost || pathScore(s.Path) != bestPath {
			continue
		}
		if len(s.Methods) > 0 && s.Methods[0] == method {
			return i, Found
		}
		if len(s.Methods) == 0 {
			index, outcome = i, Found
		}
	}
	return index, outcome
}

// manyRoutes gives each host one route, and one more host them all.
func manyRoutes(n int) []Spec {
	specs := make([]Spec, n)
	for i := range specs {
		specs[i] = Spec{
			Name:    fmt.Sprintf("r%d", i),
			Hosts:   []string{fmt.Sprintf("h%d.example.com", i), "all.example.com"},
			Path:    PathSpec{Prefix: fmt.Sprintf("/app%d/", i)},
			Methods: []string{"GET", "POST"},
		}
	}
	return specs
}

func TestMatchAllocatesNothing(t *testing.T) {
	table := compile(t, manyRoutes(1000)...)
	host, path := []byte("h7.example.com"), []byte("/app7/a/b")
	if n := testing.AllocsPerRun(100, func() { table.Match(host, path, "GET") }); n != 0 {
		t.Errorf("allocations = %v, want 0", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	const keys = 1 << 17 // more than routes: nearly all of them are asked for
	for _, n := range []int{10, 1000, 100_000} {
		table := compile(b, manyRoutes(n)...)
		for _, host := range []string{"h%d.example.com", "all.example.com"} {
			b.Run(fmt.Sprintf("routes=%d/%s", n, strings.TrimSuffix(strings.SplitN(host, ".", 2)[0], "%d")), func(b *testing.B) {
				rng := rand.New(rand.NewPCG(1, 2))
				hosts, paths := make([][]byte, keys), make([][]byte, keys)
				for i := range hosts {
					r := rng.IntN(n)
					hosts[i] = []byte(host)
					if strings.Contains(host, "%d") {
						hosts[i] = fmt.Appendf(nil, host, r)
					}
					paths[i] = fmt.Appendf(nil, "/app%d/users/4711", r)
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if _, outcome := table.Match(hosts[i&(keys-1)], paths[i&(keys-1)], "POST"); outcome != Found {
						b.Fatal(outcome)
					}
				}
			})
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	specs := manyRoutes(100_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(specs); err != nil {
			b.Fatal(err)
		}
	}
}
