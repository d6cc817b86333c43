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
	for _, word := range set {
		if given[word] == "" && !slices.Contains(made, word) && !slices.Contains([]string{"route_deadline", "peer_gone", "peer_stuck"}, word) {
			t.Errorf("nothing gives the reason %q", word)
		}
	}
}

// reasonsInCode are the words that are given as a reason in this package, and where.
func reasonsInCode(t *testing.T) map[string]string {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	set := token.NewFileSet()
	note := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if word, err := strconv.Unquote(lit.Value); err == nil && word != "" {
				found[word] = set.Position(lit.Pos()).String()
			}
		}
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || name == "reasons.go" {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
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
