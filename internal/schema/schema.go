package schema

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"time"
)

// Generator makes schemas. The zero value knows no comments and no closed sets.
type Generator struct {
	Words map[string]string               // "pkg.Type.Field" to what is said of it: see [Comments]
	Texts map[reflect.Type][]string       // types that are texts from a closed set
	Any   map[reflect.Type][]reflect.Type // interfaces, and what may be in them

	definitions map[string]any
	named       map[string]reflect.Type // whose definition has that name
}

// Form returns the schema of a type as JSON. It fails for a type that writes its JSON itself and is
// not in Texts, for an interface that is not in Any, and for two types of one name.
func (g *Generator) Form(title string, t reflect.Type) (text []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			unknown, ok := r.(unknownType)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("schema: say what %s looks like in JSON", unknown.Type)
		}
	}()
	g.definitions, g.named = map[string]any{}, map[string]reflect.Type{}
	var root map[string]any
	if t.Kind() == reflect.Struct {
		root = g.object(t)
	} else {
		root = g.of(t)
	}
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["title"] = title
	if len(g.definitions) > 0 {
		root["definitions"] = g.definitions
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err = enc.Encode(root)
	return b.Bytes(), err
}

// unknownType is panicked with inside of Form.
type unknownType struct{ reflect.Type }

func (g *Generator) object(t reflect.Type) map[string]any {
	out := map[string]any{"type": "object", "properties": map[string]any{}}
	if required := g.fields(t, out["properties"].(map[string]any)); len(required) > 0 {
		out["required"] = required
	}
	return out
}

// fields adds the fields of a struct, and returns those that are always there.
func (g *Generator) fields(t reflect.Type, to map[string]any) (required []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
			continue
		case f.Anonymous && name == "":
			required = append(required, g.fields(f.Type, to)...)
			continue
		case name == "":
			name = f.Name
		}
		p := g.of(f.Type)
		if text := g.Words[t.String()+"."+f.Name]; text != "" {
			if _, isRef := p["$ref"]; isRef { // beside a reference nothing counts in draft 7
				p = map[string]any{"allOf": []any{p}}
			}
			p["description"] = text
		}
		to[name] = p
		if options == "" {
			required = append(required, name)
		}
	}
	return required
}

func (g *Generator) of(t reflect.Type) map[string]any {
	switch {
	case g.Texts[t] != nil:
		return map[string]any{"enum": g.Texts[t]}
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t.Implements(reflect.TypeFor[json.Marshaler]()), t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		panic(unknownType{t})
	case g.Any[t] != nil:
		all := []any{}
		for _, one := range g.Any[t] {
			all = append(all, g.of(one))
		}
		return map[string]any{"anyOf": all}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.of(t.Elem())
	case reflect.Struct:
		name := t.Name()
		if name == "" {
			return g.object(t)
		}
		name = strings.ToUpper(name[:1]) + name[1:]
		if g.named[name] != nil && g.named[name] != t {
			panic(unknownType{t}) // two of one name
		}
		if g.definitions[name] == nil {
			g.named[name] = t
			g.definitions[name] = true // it may hold itself
			g.definitions[name] = g.object(t)
		}
		return map[string]any{"$ref": "#/definitions/" + name}
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
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	}
	panic(unknownType{t})
}

// Comments reads what stands beside and above the fields of the types of packages, given by their
// directories. Tests are not read.
func Comments(dirs ...string) (map[string]string, error) {
	words := map[string]string{}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if spec, ok := n.(*ast.TypeSpec); ok {
					note(words, file.Name.Name+"."+spec.Name.Name, spec)
				}
				return true
			})
		}
	}
	return words, nil
}

func note(words map[string]string, of string, spec *ast.TypeSpec) {
	s, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range s.Fields.List {
		text := strings.Join(strings.Fields(f.Doc.Text()+" "+f.Comment.Text()), " ")
		for _, id := range f.Names {
			words[of+"."+id.Name] = text
		}
	}
}
