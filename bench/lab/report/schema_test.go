package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/lab.schema.json")

const schemaFile = "../../../docs/lab.schema.json"

// The published schema is what the types say, in the spelling of draft 7. It allows fields that
// it does not know, because new ones may come. That a real file obeys it is tested end to end.
func TestSchema(t *testing.T) {
	g := schema{defs: map[string]any{}, words: comments(t)}
	root := g.object(reflect.TypeFor[File]())
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["title"] = "Runs of sluice-lab"
	root["definitions"] = g.defs
	root["properties"].(map[string]any)["schema"] = map[string]any{"const": Schema}
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
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
		t.Errorf("%s is not what the types say; run: go test ./bench/lab/report -run Schema -update", schemaFile)
	}
}

// schema makes JSON Schema of Go types.
type schema struct {
	defs  map[string]any
	words map[string]string // "Run.Excused": its comment
}

func (g *schema) object(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		p := g.of(f.Type)
		if text := g.words[t.Name()+"."+f.Name]; text != "" {
			if _, isRef := p["$ref"]; isRef { // beside a reference nothing counts in draft 7
				p = map[string]any{"allOf": []any{p}}
			}
			p["description"] = text
		}
		properties[name] = p
		if options == "" {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "properties": properties, "required": required}
}

func (g *schema) of(t reflect.Type) map[string]any {
	if t == reflect.TypeFor[time.Time]() {
		return map[string]any{"type": "string", "format": "date-time"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.of(t.Elem())
	case reflect.Struct:
		if g.defs[t.Name()] == nil {
			g.defs[t.Name()] = g.object(t)
		}
		return map[string]any{"$ref": "#/definitions/" + t.Name()}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": g.of(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": g.of(t.Elem())}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return map[string]any{"type": "integer"}
	}
	panic("no schema for " + t.String())
}

// comments reads what stands beside and above the fields of the types.
func comments(t *testing.T) map[string]string {
	t.Helper()
	words := map[string]string{}
	var files []string
	for _, dir := range []string{".", "../plan", "../replica"} {
		more, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					text := strings.TrimSpace(f.Doc.Text() + " " + f.Comment.Text())
					for _, id := range f.Names {
						words[spec.Name.Name+"."+id.Name] = strings.Join(strings.Fields(text), " ")
					}
				}
			}
			return true
		})
	}
	return words
}
