package proxy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/docs"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// Every reason that the code gives is in the closed set, and the set has no other.
func TestReasonsAreAClosedSet(t *testing.T) {
	given := reasonsInCode(t)
	if len(given) < 30 {
		t.Fatalf("%d reasons in the code: the test looks at the wrong place", len(given))
	}
	set := Reasons()
	for _, word := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(set, word) && !slices.Contains(h1.Reasons(), word) {
			t.Errorf("%s: %q is not among Reasons", given[word], word)
		}
	}
	made := []string{}
	for r := range numRefusals {
		made = append(made, r.String())
	}
	made = append(made, StreamEndReasons()...)
	for _, word := range set {
		if given[word] == "" && !slices.Contains(made, word) && !slices.Contains([]string{"route_deadline", "peer_gone", "peer_stuck"}, word) {
			t.Errorf("nothing gives the reason %q", word)
		}
	}
}

// The page says the status that a reason comes with.
func TestStatusOfReasons(t *testing.T) {
	n := 0
	for _, lit := range composites(t) {
		status, reason := lit["status"], lit["reason"]
		if status == "" || reason == "" {
			continue
		}
		n++
		word, err := strconv.Unquote(reason)
		if err != nil {
			continue // a variable: what it holds is in a literal elsewhere
		}
		_, section, _ := strings.Cut(docs.Errors, "\n### "+word+"\n\n")
		first, _, _ := strings.Cut(section, "\n")
		if !slices.Contains(strings.FieldsFunc(first, func(r rune) bool { return r < '0' || r > '9' }), status) {
			t.Errorf("%s is answered with %s, and docs/errors.md says: %s", word, status, first)
		}
	}
	if n < 30 {
		t.Fatalf("%d answers in the code: the test looks at the wrong place", n)
	}
}

// composites are the literals of structs in this package, by the names of their fields.
func composites(t *testing.T) (all []map[string]string) {
	for _, file := range sourceFiles(t, token.NewFileSet()) {
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			fields := map[string]string{}
			for _, e := range lit.Elts {
				kv, ok := e.(*ast.KeyValueExpr)
				if !ok {
					continue
				}
				key, isName := kv.Key.(*ast.Ident)
				value, isLiteral := kv.Value.(*ast.BasicLit)
				if isName && isLiteral {
					fields[key.Name] = value.Value
				}
			}
			all = append(all, fields)
			return true
		})
	}
	return all
}

// sourceFiles are the files of this package, but for the list itself.
func sourceFiles(t *testing.T, set *token.FileSet) (all []*ast.File) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || name == "reasons.go" {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, file)
	}
	return all
}

// reasonsInCode are the words that are given as a reason in this package, and where.
func reasonsInCode(t *testing.T) map[string]string {
	found := map[string]string{}
	set := token.NewFileSet()
	note := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if word, err := strconv.Unquote(lit.Value); err == nil && word != "" {
				found[word] = set.Position(lit.Pos()).String()
			}
		}
	}
	for _, file := range sourceFiles(t, set) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && (key.Name == "reason" || key.Name == "Reason") {
					note(n.Value)
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "challenge" {
					note(n.Args[0])
				}
			case *ast.AssignStmt:
				for i, left := range n.Lhs {
					if sel, ok := left.(*ast.SelectorExpr); ok && sel.Sel.Name == "reason" && i < len(n.Rhs) {
						note(n.Rhs[i])
					}
				}
			}
			return true
		})
	}
	return found
}
