package config_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/yaml"
	"github.com/sluiceproxy/sluice/proxy"
)

const schemaFile = "../docs/config.schema.json"

// docs/config.schema.json is made from the types, comments, defaults and ranges that docs/config.md
// is made from.
func TestReferenceSchemaIsCurrent(t *testing.T) {
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(newSchema(t).root()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s is out of date: go test ./config -run Reference -update-reference", schemaFile)
	}
}

// schema makes the schema of the file. Its words are those that draft 7 and draft 2020-12 have in
// common, since editors differ in what they know.
type schema struct {
	comments, types map[string]string // Type.Field and Type to what is said of them
	defaults        config.Config
	ranges          map[string][2]int64
}

func newSchema(t *testing.T) *schema {
	return &schema{comments: fieldComments(t), types: typeComments(t), defaults: config.Default(), ranges: config.Ranges()}
}

func (s *schema) root() map[string]any {
	root := s.object(reflect.ValueOf(s.defaults), "")
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Configuration of Sluice"
	root["description"] = "The whole file, version 1: docs/config.md."
	root["patternProperties"] = map[string]any{"^x-": map[string]any{"description": "free, for anchors"}}
	return root
}

// needed are the keys that no file can leave out. Listeners and policy.dir may come from flags.
var needed = map[string][]string{
	"":                               {"version"},
	"listeners[]":                    {"name", "address"},
	"listeners[].tls.certificates[]": {"cert_file", "key_file"},
	"upstream_tls[]":                 {"name"},
}

func (s *schema) object(v reflect.Value, path string) map[string]any {
	properties := map[string]any{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" {
			continue
		}
		at := strings.TrimPrefix(path+"."+name, ".")
		p := s.value(v.Field(i), at, f.Tag.Get("enum"))
		if text := s.comments[v.Type().Name()+"."+f.Name]; text != "" {
			p["description"] = text
		}
		properties[name] = p
	}
	out := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if text := s.types[v.Type().Name()]; text != "" {
		out["description"] = text
	}
	if names := needed[path]; names != nil {
		out["required"] = names
	}
	return out
}

// What durations and sizes look like. 0 needs no unit.
const (
	duration = `^\+?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`
	size     = `^[0-9]+(KiB|MiB|GiB|TiB|kB|KB|MB|GB|TB|B)$`
)

func (s *schema) value(v reflect.Value, path, enum string) map[string]any {
	switch x := v.Interface().(type) {
	case time.Duration:
		return s.measure(duration, x.String())
	case yaml.Size:
		return s.measure(size, x.String())
	case config.Prefix:
		return map[string]any{"type": "string", "minLength": 2}
	}
	switch v.Kind() {
	case reflect.Struct:
		return s.object(v, path)
	case reflect.Slice:
		items := s.value(reflect.New(v.Type().Elem()).Elem(), path+"[]", "")
		if path == "log.access_redact" {
			items["enum"] = proxy.Redactable()
		}
		delete(items, "default")
		return map[string]any{"type": "array", "items": items}
	case reflect.Bool:
		return map[string]any{"type": "boolean", "default": v.Bool()}
	case reflect.Int:
		out := map[string]any{"type": "integer"}
		if path == "version" {
			return map[string]any{"const": v.Int()}
		}
		if r, ok := s.ranges[path]; ok {
			out["minimum"], out["maximum"] = r[0], r[1]
		} else {
			out["minimum"] = 0
		}
		if !strings.Contains(path, "[]") {
			out["default"] = v.Int()
		}
		return out
	case reflect.String:
		out := map[string]any{"type": "string"}
		if enum != "" {
			out = map[string]any{"enum": strings.Split(enum, ",")}
		}
		if path == "listeners[].name" {
			out["pattern"] = "^[a-z0-9_-]{1,63}$"
		}
		if v.String() != "" {
			out["default"] = v.String()
		}
		return out
	}
	panic("no schema for " + path)
}

func (s *schema) measure(pattern, standard string) map[string]any {
	return map[string]any{"type": []string{"string", "integer"}, "pattern": pattern, "minimum": 0, "maximum": 0, "default": standard}
}

// typeComments maps types to what is said above them, without their name.
func typeComments(t *testing.T) map[string]string {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, d := range file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
			name := g.Specs[0].(*ast.TypeSpec).Name.Name
			text := strings.Join(strings.Fields(g.Doc.Text()), " ")
			if rest, ok := strings.CutPrefix(text, name+" is "); ok { // names of Go say nothing to an operator
				text = strings.ToUpper(rest[:1]) + rest[1:]
			}
			out[name] = text
		}
	}
	return out
}

// compile reads the published schema, as one of a draft.
func compile(t *testing.T, draft string) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	form, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	form.(map[string]any)["$schema"] = draft
	c := jsonschema.NewCompiler()
	if err := c.AddResource("config.json", form); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// drafts are those in which the schema has to mean the same: the one that it names, and the one that
// older editors take every schema for.
var drafts = []string{"https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema#"}

// instance is a file as an editor hands it to the schema.
func instance(t *testing.T, name string, text []byte) any {
	t.Helper()
	doc, err := yaml.Parse(name, text, yaml.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return plain(doc.Root())
}

func plain(n yaml.Node) any {
	switch n.Kind() {
	case yaml.Null:
		return nil
	case yaml.Bool:
		return strings.EqualFold(n.Text(), "true")
	case yaml.Number:
		if i, err := strconv.ParseInt(n.Text(), 10, 64); err == nil {
			return json.Number(strconv.FormatInt(i, 10))
		}
		return json.Number("0.5") // some number that is no whole one
	case yaml.String:
		return n.Text()
	case yaml.List:
		out := []any{}
		for i := range n.Len() {
			out = append(out, plain(n.Item(i)))
		}
		return out
	case yaml.Map:
		out := map[string]any{}
		for i := range n.Len() {
			k, v := n.Entry(i)
			out[k.Text()] = plain(v)
		}
		return out
	}
	panic("no such kind")
}

// What loads obeys the schema: no editor marks a good file.
func TestSchemaTakesWhatLoads(t *testing.T) {
	files := map[string][]byte{"minimal": []byte("version: 1\nlisteners: [{name: web, address: \":8080\"}]\npolicy: {dir: p}\n"),
		"free keys": []byte("version: 1\nx-tls: &t {dir: d}\nlisteners: [{name: web, address: \":8080\", tls: *t}]\npolicy: {dir: p}\ndrain: {linger: 0, flush: 1.5s, peer_timeout: 0s}\nlimits: {min_rate: 0, head: 65536B}\ntimeouts: {head: 1m30s}\n")}
	for _, pattern := range []string{"testdata/full.yaml", "../deploy/*/sluice.yaml"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if files[name], err = os.ReadFile(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(files) < 5 {
		t.Fatalf("%d files: the test looks at the wrong places", len(files))
	}
	for _, draft := range drafts {
		form := compile(t, draft)
		for name, text := range files {
			if _, err := config.Load(config.Source{Name: name, Text: text}); err != nil {
				t.Errorf("%s does not load: %v", name, err)
			}
			if err := form.Validate(instance(t, name, text)); err != nil {
				t.Errorf("%s, by %s: %v", name, draft, err)
			}
		}
	}
}

// What an editor can see is wrong with a file, the schema says, one by one.
func TestSchemaRefuses(t *testing.T) {
	const good = "version: 1\nlisteners: [{name: web, address: \":8080\"}]\n"
	for _, draft := range drafts {
		form := compile(t, draft)
		for _, bad := range []string{
			"listeners: []", "version: 2", "version: \"1\"", good + "listners: []", good + "drain: {timout: 5s}", good + "drain: {timeout: 5}",
			good + "drain: {timeout: 5 s}", good + "drain: {timeout: -1s}", good + "drain: {timeout: [5s]}", good + "drain: {timeout: }", good + "drain: 5s", good + "limits: {head: 64}",
			good + "limits: {head: 64 KiB}", good + "limits: {fields: 20000}", good + "limits: {max_connections: 0}", good + "limits: {fields: many}",
			good + "log: {level: loud}", good + "log: {access: 1}", good + "log: {access_redact: [peer, cookie]}", good + "trusted_proxies: 10.0.0.1",
			good + "engine: {loops: 300}", good + "start: {mode: open}", "version: 1\nlisteners: [{name: web}]", "version: 1\nlisteners: [{name: b a d, address: \":1\"}]",
			"version: 1\nlisteners: [{name: w, address: \":1\", protocol: htpp}]", "version: 1\nlisteners: [{name: w, address: \":1\", tls: {certificates: [{cert_file: c}]}}]",
			good + "upstream_tls: [{ca_file: c}]", good + "admin: {token: abc}",
		} {
			if err := form.Validate(instance(t, "bad", []byte(bad))); err == nil {
				t.Errorf("by %s, this is taken:\n%s", draft, bad)
			}
			if _, err := config.Load(config.Source{Name: "bad", Text: []byte(bad)}); err == nil {
				t.Errorf("this loads, so the schema need not refuse it:\n%s", bad)
			}
		}
		text, err := os.ReadFile("testdata/broken.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if form.Validate(instance(t, "broken.yaml", text)) == nil {
			t.Error("broken.yaml is taken")
		}
	}
}
