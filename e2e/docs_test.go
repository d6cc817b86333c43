package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What README and docs show is true: files load, commands exist and take their flags, programs
// compile. README's own story is played as it stands (readme_linux_test.go).

// block is a fenced block of a page.
type block struct {
	page string // "docs/policy.md"
	line int    // of its first line
	lang string
	text string
}

func (b block) at(i int) string { return fmt.Sprintf("%s:%d", b.page, b.line+i) }

// documented are all blocks of all pages that users read.
func documented(t *testing.T) (all []block) {
	t.Helper()
	pages := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "ARCHITECTURE.md", "deploy/README.md", "bench/README.md"}
	err := filepath.WalkDir("../docs", func(name string, e fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(name) == ".md" {
			pages = append(pages, strings.TrimPrefix(filepath.ToSlash(name), "../"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		all = append(all, blocksOf(page, read(t, filepath.Join("..", page)))...)
	}
	if len(all) < 25 {
		t.Fatalf("%d blocks: the test looks at the wrong places", len(all))
	}
	return all
}

var fence = regexp.MustCompile("^ {0,3}```+ *([^ `]*)")

func blocksOf(page, text string) (all []block) {
	var in *block
	for i, line := range strings.Split(text, "\n") {
		switch m := fence.FindStringSubmatch(line); {
		case m != nil && in == nil:
			in = &block{page: page, line: i + 2, lang: m[1]}
		case m != nil:
			all, in = append(all, *in), nil
		case in != nil:
			in.text += line + "\n"
		}
	}
	return all
}

// TestBlocksSayWhatTheyAre: a block without a language would be looked at by nobody.
func TestBlocksSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	for _, b := range documented(t) {
		if b.lang == "" {
			t.Errorf("%s: say what this block is: sh, console, yaml, ini, go, or text for what is no code", b.at(-1))
		}
	}
}

// A command that a page shows and that cannot run here: its first words, and why.
var elsewhere = map[string]string{
	"make":       "the targets of the Makefile are the tests themselves; here it is only looked whether there is such a target",
	"go":         "benchmarks take minutes",
	"kubectl":    "needs a cluster",
	"aws":        "needs an account",
	"docker":     "needs a Docker engine",
	"install":    "writes outside of this directory",
	"systemctl":  "needs systemd as PID 1",
	"jq":         "may not be installed; what it reads has a schema that is checked",
	"patch":      "e2e/cli_test.go applies a patch of the doctor",
	"grep":       "filters what a command of ours prints",
	"promtool":   "needs a Prometheus; that every query is valid and has data is tested with the rules and with the dashboard",
	"journalctl": "needs journald",
	"curl":       "names a replica; the probes that it asks have tests of their own",
	"df":         "asks this machine, not us",
	"openssl":    "names a certificate that only its reader has",
	"git":        "needs a checkout with another policy",
	"cat":        "puts one key of its reader behind another",
}

// TestCommandsOfDocs: whatever is ours exists, with these flags, and what is not is known to be
// elsewhere.
func TestCommandsOfDocs(t *testing.T) {
	lab := buildLab(t)
	makefile := read(t, "../Makefile")
	desks := map[string]desk{"README.md": newDesk(t, "README.md"), "docs/policy.md": newDesk(t, "docs/policy.md")}
	used, ours, ran := map[string]bool{}, 0, 0
	for _, b := range documented(t) {
		if b.lang != "sh" && b.lang != "console" {
			continue
		}
		for i, line := range strings.Split(strings.ReplaceAll(b.text, "\\\n", ""), "\n") {
			if b.lang == "console" {
				prompted, ok := strings.CutPrefix(line, "$ ")
				if !ok {
					continue // what it prints
				}
				line = prompted
			}
			for _, words := range simpleCommands(line) {
				switch name := filepath.Base(words[0]); {
				case name == "sluice":
					ours++
					takes(t, b.at(i), built.sluice, "sluice", words[1:])
					where, own := desks[b.page]
					if !own {
						where = desks["README.md"]
					}
					ran += where.run(t, b.at(i), words[1:])
				case name == "sluice-lab":
					ours++
					takes(t, b.at(i), lab, "sluice-lab", words[1:])
				case elsewhere[name] != "":
					used[name] = true
					if name == "make" && len(words) > 1 && !regexp.MustCompile("(?m)^"+regexp.QuoteMeta(words[1])+":").MatchString(makefile) {
						t.Errorf("%s: the Makefile has no target %s", b.at(i), words[1])
					}
				default:
					t.Errorf("%s: %q is nothing of ours, and not among those that are known to run elsewhere", b.at(i), words[0])
				}
			}
		}
	}
	if ours < 40 || ran < 20 {
		t.Errorf("only %d commands of ours, of which %d were run: the test looks at the wrong places", ours, ran)
	}
	for name, why := range elsewhere {
		if !used[name] || why == "" {
			t.Errorf("no page shows %q: take it out of the list", name)
		}
	}
}

// desk is a directory with the files that a page shows, and deploy.
type desk string

func newDesk(t *testing.T, page string) desk {
	t.Helper()
	dir := t.TempDir()
	for _, b := range append(blocksOf(page, read(t, filepath.Join("..", page))), blocksOf("docs/policy.md", read(t, "../docs/policy.md"))...) {
		putFile(t, dir, page, b)
	}
	if err := os.CopyFS(filepath.Join(dir, "deploy"), os.DirFS("../deploy")); err != nil {
		t.Fatal(err)
	}
	return desk(dir)
}

// asksNobody are the commands that need no running proxy and change nothing but the files that they
// are given: where those are there, they are run.
var asksNobody = []string{"completion", "config", "doctor", "explain", "policy", "validate", "version"}

// asksAStore are the commands of policy that need one that was published to: policystore_test.go and fleet_test.go ask them.
var asksAStore = []string{"history", "keygen", "publish", "rollback", "verify"}

// ofAStore is a word for a version of one.
func ofAStore(word string) bool { return strings.HasPrefix(word, "@") }

// run runs a command if that is possible here, and says how many it ran.
func (d desk) run(t *testing.T, at string, words []string) int {
	t.Helper()
	if len(words) == 0 || !slices.Contains(asksNobody, words[0]) || len(words) > 1 && words[0] == "policy" && (slices.Contains(asksAStore, words[1]) || slices.ContainsFunc(words, ofAStore)) {
		return 0
	}
	var args []string
	for i, w := range words {
		names, err := filepath.Glob(filepath.Join(string(d), w))
		isFile := i > 0 && words[0] != "explain" && !strings.HasPrefix(w, "-") && strings.ContainsAny(w, "./*")
		switch {
		case err != nil, w == "-", isFile && (len(names) == 0 || filepath.IsAbs(w)):
			return 0 // of files that are nowhere
		case isFile:
			args = append(args, names...)
		default:
			args = append(args, w)
		}
	}
	cmd := exec.Command(built.sluice, args...)
	cmd.Dir = string(d)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: sluice %s: %v\n%s", at, strings.Join(words, " "), err, out)
	}
	return 1
}

// Files of a page are named by their first line: "# policy/app.yaml".
var named = regexp.MustCompile(`^# (\S+\.yaml)\n`)

// putFile writes a file that a page shows. Keys are those that README says to be in docs/policy.md; a policy
// without a name is the only one of its page.
func putFile(t *testing.T, dir, page string, b block) {
	t.Helper()
	name, own := "", b.page == page
	switch m := named.FindStringSubmatch(b.text); {
	case own && m != nil:
		name = m[1]
	case own && strings.HasPrefix(b.text, "clusters:\n"):
		name = "policy/policy.yaml"
	case strings.HasPrefix(b.text, "keys:\n"):
		name = "keys.yaml"
	}
	if b.lang != "yaml" || name == "" {
		return
	}
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, name, strings.ReplaceAll(b.text, "unix:/tmp/", "unix:"+dir+"/"))
}

// takes asks a program whether it has a command with these flags: with --help behind them it
// reads all of them and does nothing.
func takes(t *testing.T, at, program, name string, words []string) {
	t.Helper()
	out, err := exec.Command(program, append(slices.Clone(words), "--help")...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %s %s: %s", at, name, strings.Join(words, " "), out)
		return
	}
	usage := regexp.MustCompile(`Usage:\n  (\S+(?: [a-z][a-z-]*)*)`).FindStringSubmatch(string(out))
	if usage == nil {
		t.Errorf("%s: %s %v prints no usage:\n%s", at, name, words, out)
		return
	}
	named := strings.Fields(usage[1])[1:]
	if len(words) > 0 && !strings.HasPrefix(words[0], "-") && words[0] != "help" && (len(named) == 0 || named[0] != words[0]) {
		t.Errorf("%s: %s has no command %q", at, name, words[0])
	}
}

// simpleCommands splits a line as a shell does: into commands, and these into words.
func simpleCommands(line string) (all [][]string) {
	var words []string
	var word strings.Builder
	quote, inWord, skip := rune(0), false, false
	endWord := func() {
		if inWord && !skip {
			words = append(words, word.String())
		}
		if inWord {
			skip = false
		}
		word.Reset()
		inWord = false
	}
	endCommand := func() {
		endWord()
		if len(words) > 0 {
			all = append(all, words)
		}
		words, skip = nil, false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == '#' && !inWord:
			endCommand()
			return all
		case r == ' ' || r == '\t':
			endWord()
		case r == '|' || r == '&' || r == ';':
			endCommand()
		case r == '>' || r == '<': // what follows is a file
			endWord()
			skip = true
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	endCommand()
	return all
}

// Blocks of YAML that are a part of something, and what they are a part of.
var fragments = map[string]string{
	"authenticate:\n  oidc:\n  - {issuer":          "version: 1\nlisteners: [{name: web, address: \":8443\", tls: {dir: d}}]\npolicy: {dir: ., state_dir: s}\n%s",
	"policy: [{allow: {and: [{client_certificate:": "clusters: {c: {endpoints: [\"127.0.0.1:1\"]}}\nroutes:\n- name: r\n  cluster: c\n  path: {prefix: /}\n  %s",
}

// TestYAMLOfDocs: a configuration loads, a policy compiles, keys are keys.
func TestYAMLOfDocs(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, b := range documented(t) {
		if b.lang != "yaml" {
			continue
		}
		text := b.text
		for begin, whole := range fragments {
			if strings.HasPrefix(text, begin) {
				used[begin] = true
				text = fmt.Sprintf(whole, text)
			}
		}
		dir := t.TempDir()
		file := filepath.Join(dir, "block.yaml")
		has := func(keys ...string) bool {
			return slices.ContainsFunc(keys, func(k string) bool { return regexp.MustCompile("(?m)^" + k + ":").MatchString(text) })
		}
		var out string
		var code int
		switch {
		case has("cases"): // TestCommandsOfDocs asks them
			continue
		case has("routes", "clusters", "tcp_routes"):
			write(t, file, text)
			out, code = command(t, "policy", "check", file)
		case has("keys"):
			keys := strings.ReplaceAll(text, "2027-", "2099-") // that it expires is not the matter
			write(t, file, "version: 1\nlisteners: [{name: web, address: \":1\"}]\npolicy: {dir: .}\nauthenticate: {api_key: {file: "+filepath.Join(dir, "keys.yaml")+"}}\n")
			write(t, filepath.Join(dir, "keys.yaml"), keys)
			write(t, filepath.Join(dir, "p.yaml"), "routes: []\n")
			out, code = command(t, "validate", "-c", file, "--policy-dir", dir+"/p")
			if strings.Contains(out, "keys.yaml") {
				t.Errorf("%s: %s", b.at(0), out)
			}
			code = 0
		case has("version", "listeners", "upstream_tls", "drain", "log", "authenticate", "sessions", "policy", "etcd", "fleet"):
			for key, value := range map[string]string{"version": "version: 1\n", "listeners": "listeners: [{name: web, address: \":1\"}]\n", "policy": "policy: {dir: .}\n"} {
				if !has(key) {
					text = value + text
				}
			}
			write(t, file, text)
			out, code = command(t, "config", "show", "-c", file)
		case has("cases"):
			write(t, file, text)
			if out, code = command(t, "policy", "test", "--policy", policyFile(t), file); code == 1 { // of another policy: only the form is looked at
				code = 0
			}
		default:
			t.Errorf("%s: neither a configuration nor a policy nor keys; if it is a part of one, say of what in fragments", b.at(0))
			continue
		}
		if code != 0 {
			t.Errorf("%s: exit %d: %s", b.at(0), code, out)
		}
	}
	for begin := range fragments {
		if !used[begin] {
			t.Errorf("no page has the fragment %q", begin)
		}
	}
}

// packagesOf are what the programs of the pages import.
var packagesOf = map[string]string{
	"http": "net/http", "httpdrain": "github.com/sluiceproxy/sluice/drain/httpdrain", "signal": "os/signal", "context": "context", "syscall": "syscall", "log": "log", "fmt": "fmt", "time": "time", "os": "os",
}

// TestGoOfDocs compiles each program as the body of a function.
func TestGoOfDocs(t *testing.T) {
	t.Parallel()
	n := 0
	for _, b := range documented(t) {
		if b.lang != "go" {
			continue
		}
		n++
		var imports strings.Builder
		for name, path := range packagesOf {
			if regexp.MustCompile(`\b` + name + `\.[A-Z]`).MatchString(b.text) {
				fmt.Fprintf(&imports, "import %q\n", path)
			}
		}
		dir := t.TempDir()
		src := filepath.Join(dir, "main.go")
		write(t, src, "package main\n"+imports.String()+"func main() {\n"+b.text+"}\n")
		root, err := filepath.Abs("..")
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "overlay.json"), fmt.Sprintf("{\"Replace\": {%q: %q}}", filepath.Join(root, "cmd/of-a-page/main.go"), src))
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "program"), "-overlay", filepath.Join(dir, "overlay.json"), "./cmd/of-a-page")
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", b.at(0), err, out)
		}
	}
	if n == 0 {
		t.Error("no page shows a program: the test looks at the wrong places")
	}
}

// policyFile is a policy for cases.
func policyFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, name, policyFor("127.0.0.1:9", "127.0.0.1:9", "v1"))
	return name
}
