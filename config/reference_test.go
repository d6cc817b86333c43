package config_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

var update = flag.Bool("update-reference", false, "write docs/config.md")

// docs/config.md is made from the types and their comments, so that it cannot lag.
func TestReferenceIsCurrent(t *testing.T) {
	got := reference(t)
	const file = "../docs/config.md"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("docs/config.md is out of date: go test ./config -run Reference -update-reference")
	}
}

const preamble = `# Configuration

<!-- Made by: go test ./config -run Reference -update-reference -->

One YAML file, ` + "`version: 1`" + `. Unknown and duplicate keys, wrong types and dangling names are errors, all reported at
once with line and column (` + "`sluice validate --config FILE`" + `). Durations are written ` + "`30s`" + `, sizes ` + "`10MiB`" + `. A value comes from
a flag, else from the environment, else from the file, else it is the default (` + "`sluice config show --effective --origin`, `sluice config env`" + `).
A duration of 0 switches a thing off, where it may be off at all. Top-level keys that begin with ` + "`x-`" + ` are free, for anchors.

Editors that speak to yaml-language-server complete and check the file by [config.schema.json](config.schema.json) (` + "`sluice config schema`" + `), if it begins with
` + "`# yaml-language-server: $schema=./config.schema.json`" + `. ` + "`sluice config fmt`" + ` lays it out.

A flag's name is the path with ` + "`-`" + ` for ` + "`.`" + ` and ` + "`_`" + `, a variable's is ` + "`SLUICE_`" + ` and the path in capitals: ` + "`drain.idle_close`" + ` is
` + "`--drain-idle-close`" + ` and ` + "`SLUICE_DRAIN_IDLE_CLOSE`" + `. Lists can only be set in the file. ` + "`SLUICE_CONFIG`" + ` names the file.

A change of this file needs a restart; policy and keys are read again by SIGHUP and ` + "`sluice reload`" + `, and when they change.

| key | default | meaning |
|---|---|---|
`

func reference(t *testing.T) string {
	comments := fieldComments(t)
	defaults := map[string]string{}
	def := config.Default()
	for _, s := range def.Settings() {
		defaults[s.Path] = s.Value
	}
	var b strings.Builder
	b.WriteString(preamble)
	var walk func(typ reflect.Type, path string)
	walk = func(typ reflect.Type, path string) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if name == "" {
				continue
			}
			p := strings.TrimPrefix(path+"."+name, ".")
			ft := f.Type
			if ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct && ft.Elem().NumField() > 1 {
				walk(ft.Elem(), p+"[]")
				continue
			}
			if ft.Kind() == reflect.Struct {
				walk(ft, p)
				continue
			}
			text := comments[typ.Name()+"."+f.Name]
			if enum := f.Tag.Get("enum"); enum != "" {
				text = strings.TrimPrefix(text+"; one of "+strings.ReplaceAll(enum, ",", ", "), "; ")
			}
			value := ""
			if d := defaults[p]; d != "" && d != "[]" && d != `""` {
				value = "`" + d + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", p, value, strings.ReplaceAll(text, "|", `\|`))
		}
	}
	walk(reflect.TypeFor[config.Config](), "")
	return b.String()
}

// fieldComments maps Type.Field to the comment behind the field.
func fieldComments(t *testing.T) map[string]string {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				for _, name := range f.Names {
					out[spec.Name.Name+"."+name.Name] = strings.TrimSpace(f.Comment.Text())
				}
			}
		}
		return true
	})
	return out
}

// docs/coming-from.md names keys of the configuration: each has to be one.
func TestComingFromNamesKeys(t *testing.T) {
	text, err := os.ReadFile("../docs/coming-from.md")
	if err != nil {
		t.Fatal(err)
	}
	reference := reference(t)
	named := regexp.MustCompile("`((?:listeners\\[\\]|[a-z_]+)\\.[a-z_.]+)`").FindAllStringSubmatch(string(text), -1)
	if len(named) < 20 {
		t.Fatalf("it names %d keys: the test looks at the wrong place", len(named))
	}
	for _, m := range named {
		if key := m[1]; !strings.Contains(reference, "| `"+key+"`") && !strings.Contains(reference, "| `"+key+".") && !strings.Contains(reference, "| `"+key+"[") {
			t.Errorf("%s is no key of the configuration", key)
		}
	}
}
