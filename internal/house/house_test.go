package house

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sluiceproxy/sluice"

// arrows lists, for each package (or tree, by "/..."), which of our packages it may
// import. What is not listed imports nothing of ours. The longest match counts.
var arrows = map[string][]string{
	"cmd/...":                     {"*"},
	"config":                      {"proxy", "proxy/h1", "authz/...", "drain", "lifecycle", "health", "internal/etcd/address", "internal/fleet", "internal/yaml"},
	"internal/etcd":               {"internal/etcd/address"},
	"internal/fleet/fleetetcd":    {"internal/etcd", "internal/fleet"},
	"drain/httpdrain":             {"drain", "internal/synshed"}, // below drain, which stays standard library only
	"lifecycle":                   {"health"},
	"lifecycle/...":               {"health", "lifecycle"},
	"lifecycle/handover":          {"internal/synshed"},
	"proxy":                       {"proxy/...", "authz", "authz/policy", "drain", "internal/synshed"},
	"proxy/engine/...":            {"proxy/engine", "proxy/engine/wheel", "internal/synshed"},
	"authz/...":                   {"authz", "internal/yaml"},
	"authz/policy":                {"authz", "authz/policy/celexpr", "internal/yaml"},
	"authz/authn/jwt":             {"authz", "authz/authn/issuer"},
	"authz/authn/oidc":            {"authz", "authz/authn/issuer", "authz/pages", "authz/session"},
	"authz/session":               {"authz"},
	"authz/session/etcdfeed":      {"authz/session", "internal/etcd"},
	"authz/policysync/etcdstore":  {"authz/policy", "authz/policysync", "internal/etcd"},
	"authz/policysync/sourcetest": {"authz/policy", "authz/policysync"},
	"authz/policysync":            {"authz", "authz/policy"},
	"health/...":                  {"health"},
	"admin":                       {"admin/dashboard", "health", "health/...", "drain", "lifecycle", "lifecycle/handover", "proxy", "proxy/edgetls", "proxy/upstream", "authz/authn/oidc", "authz/policysync", "authz/session", "internal/fleet"},
	"internal/sim":                {"proxy/engine"},
	"internal/doctor":             {"config", "internal/yaml"},
	"internal/synshed":            {"internal/netstat"},
	"internal/sim/world":          {"*"}, // tests of the whole
	"internal/sim/line":           {"*"}, // the same
	"internal/sim/world/...":      {"*"},
	"bench/...":                   {"*"},
	"proxy/engine/enginetest":     {"proxy/engine"},
}

type pkg struct {
	ImportPath, Dir, Doc                        string
	Imports, GoFiles, TestGoFiles, XTestGoFiles []string
}

func packages(t *testing.T) (all []pkg) {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,Imports,GoFiles,TestGoFiles,XTestGoFiles", module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("found %d packages: the test looks at the wrong place", len(all))
	}
	return all
}

func short(path string) string { return strings.TrimPrefix(strings.TrimPrefix(path, module), "/") }

// allowed reports whether the table has an arrow, and the rule that decided.
func allowed(from, to string) (bool, string) {
	rule, best := "", -1
	for pattern := range arrows {
		if matches(pattern, from) && len(pattern) > best {
			rule, best = pattern, len(pattern)
		}
	}
	for _, target := range arrows[rule] {
		if target == "*" || matches(target, to) {
			return true, rule
		}
	}
	return false, rule
}

func matches(pattern, path string) bool {
	tree, isTree := strings.CutSuffix(pattern, "/...")
	return path == pattern || isTree && strings.HasPrefix(path, tree+"/")
}

func TestArrows(t *testing.T) {
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			if !strings.HasPrefix(imp, module) {
				continue
			}
			if ok, rule := allowed(short(p.ImportPath), short(imp)); !ok {
				t.Errorf("%s imports %s, which the arrows forbid (rule %q)", short(p.ImportPath), short(imp), rule)
			}
		}
	}
}

// The check itself can fail.
func TestArrowsForbid(t *testing.T) {
	for _, edge := range [][2]string{
		{"drain", "health"}, {"proxy/h1", "authz"}, {"proxy/h2", "proxy/h1"}, {"lifecycle", "drain"}, {"proxy", "config"},
		{"proxy/engine/portable", "proxy"}, {"admin", "config"}, {"health", "lifecycle"},
	} {
		if ok, _ := allowed(edge[0], edge[1]); ok {
			t.Errorf("%s may import %s", edge[0], edge[1])
		}
	}
	if ok, _ := allowed("cmd/sluice", "config"); !ok {
		t.Error("cmd may not import config")
	}
}

// The core of the product stands on the standard library alone.
func TestStandardLibraryOnly(t *testing.T) {
	only := []string{"drain", "health", "authz", "proxy/engine", "proxy/tunnel", "proxy/upstream"}
	for _, p := range packages(t) {
		if !slices.Contains(only, short(p.ImportPath)) {
			continue
		}
		for _, imp := range p.Imports {
			if strings.Contains(strings.Split(imp, "/")[0], ".") {
				t.Errorf("%s imports %s", short(p.ImportPath), imp)
			}
		}
	}
}

// The edge binary carries no load generator, and nothing of the benchmarks.
func TestTheEdgeCarriesNoGenerator(t *testing.T) {
	imports := map[string][]string{}
	for _, p := range packages(t) {
		imports[p.ImportPath] = p.Imports
	}
	reached := func(from string) map[string]bool {
		seen := map[string]bool{}
		var walk func(string)
		walk = func(path string) {
			if !seen[path] {
				seen[path] = true
				for _, next := range imports[path] {
					walk(next)
				}
			}
		}
		walk(from)
		return seen
	}
	generator := func(path string) bool {
		return strings.HasPrefix(path, module+"/bench") || strings.Contains(path, "hdrhistogram")
	}
	for path := range reached(module + "/cmd/sluice") {
		if generator(path) {
			t.Errorf("cmd/sluice reaches %s", path)
		}
	}
	found := 0
	for path := range reached(module + "/cmd/sluice-lab") {
		if generator(path) {
			found++
		}
	}
	if found < 5 {
		t.Errorf("the walk finds only %d packages of the lab's own program: it looks at the wrong place", found)
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && len(p.Doc) < 20 {
			t.Errorf("%s has no package comment", short(p.ImportPath))
		}
	}
}

func TestGoroutineLeaksAreLookedFor(t *testing.T) {
	for _, p := range packages(t) {
		if strings.HasPrefix(short(p.ImportPath), "internal/house") {
			continue
		}
		files := slices.Concat(p.TestGoFiles, p.XTestGoFiles)
		found := len(files) == 0
		for _, f := range files {
			src := parse(t, filepath.Join(p.Dir, f))
			ast.Inspect(src, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				found = found || ok && sel.Sel.Name == "VerifyTestMain"
				return true
			})
		}
		if !found {
			t.Errorf("%s has tests without goleak.VerifyTestMain", short(p.ImportPath))
		}
	}
}

// ends lists what may end the process: the programs. bench/peers is one that no user gets,
// so it is not under cmd.
func ends(pkg string) bool { return strings.HasPrefix(pkg, "cmd/") || pkg == "bench/peers" }

// Nothing but programs ends the process, and nobody uses init.
func TestNobodyButCmdExits(t *testing.T) {
	for _, p := range packages(t) {
		for _, f := range p.GoFiles {
			path := filepath.Join(p.Dir, f)
			ast.Inspect(parse(t, path), func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					if n.Recv == nil && n.Name.Name == "init" {
						t.Errorf("%s has an init function", path)
					}
				case *ast.SelectorExpr:
					x, ok := n.X.(*ast.Ident)
					if ok && x.Name == "os" && n.Sel.Name == "Exit" && !ends(short(p.ImportPath)) {
						t.Errorf("%s calls os.Exit", path)
					}
				}
				return true
			})
		}
	}
}

func parse(t *testing.T, path string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
