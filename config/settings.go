package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/internal/yaml"
)

// Origin says where a value came from.
type Origin struct {
	Kind OriginKind
	Name string // file, variable or flag; empty for a default
	Line int    // in a file
}

// OriginKind is the kind of an origin, in rising precedence.
type OriginKind uint8

// The kinds. The zero value is FromDefault.
const (
	FromDefault OriginKind = iota
	FromFile
	FromEnv
	FromFlag
)

func (o Origin) String() string {
	switch o.Kind {
	case FromDefault:
		return "default"
	case FromFile:
		return fmt.Sprintf("%s:%d", o.Name, o.Line)
	case FromEnv, FromFlag:
		return o.Name
	}
	return "invalid"
}

// Setting is one effective value.
type Setting struct {
	Path   string // "drain.timeout", "listeners[0].address"
	Value  string // as it would be written in the file
	Origin Origin
}

// Settings lists every value in the order of the file's documentation, for
// `config show --effective --origin`. There is nothing secret in it.
func (c *Config) Settings() []Setting {
	var list []Setting
	walk(reflect.ValueOf(c).Elem(), "", func(path string, v reflect.Value) {
		list = append(list, Setting{Path: path, Value: text(v), Origin: c.origins[path]})
	})
	return list
}

// Origin is where the value at a path came from.
func (c *Config) Origin(path string) Origin { return c.origins[path] }

// EnvName is the variable that sets a path: SLUICE_DRAIN_TIMEOUT for drain.timeout.
func EnvName(path string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// FlagName is the flag that sets a path: --drain-timeout for drain.timeout.
func FlagName(path string) string {
	return "--" + strings.NewReplacer(".", "-", "_", "-").Replace(path)
}

const envPrefix = "SLUICE_"

// Scalars lists the paths that the environment and flags can set: all but lists.
func Scalars() []string {
	c := Default()
	var paths []string
	walk(reflect.ValueOf(&c).Elem(), "", func(path string, v reflect.Value) {
		if v.Kind() != reflect.Slice && path != "version" {
			paths = append(paths, path)
		}
	})
	return paths
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[yaml.Size]()
	textType     = reflect.TypeFor[encoding.TextMarshaler]()
)

// walk visits every leaf with its path. A list of structs is walked into, any other is a leaf.
func walk(v reflect.Value, path string, visit func(path string, leaf reflect.Value)) {
	switch {
	case v.Kind() == reflect.Struct && !v.Type().Implements(textType):
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			if name == "" {
				continue
			}
			if path != "" {
				name = path + "." + name
			}
			walk(v.Field(i), name, visit)
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct && !v.Type().Elem().Implements(textType):
		for i := range v.Len() {
			walk(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
	default:
		visit(path, v)
	}
}

func text(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return x.String()
	case yaml.Size:
		return x.String()
	}
	if v.Kind() == reflect.Slice {
		words := make([]string, v.Len())
		for i := range words {
			words[i] = text(v.Index(i))
		}
		return "[" + strings.Join(words, ", ") + "]"
	}
	return fmt.Sprint(v.Interface())
}

// Values are what the value at a path of [Scalars] may be, if that is a closed set, else nil.
func Values(path string) []string {
	t := reflect.TypeFor[Config]()
	var enum string
	for _, key := range strings.Split(path, ".") {
		i := slices.IndexFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool {
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			return name == key
		})
		if i < 0 {
			panic("BUG: config: no setting " + path)
		}
		f := t.Field(i)
		t, enum = f.Type, f.Tag.Get("enum")
	}
	switch {
	case enum != "":
		return strings.Split(enum, ",")
	case t.Kind() == reflect.Bool:
		return []string{"true", "false"}
	}
	return nil
}
