package yaml

import (
	"encoding"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, written with a unit: 512B, 64KiB, 10MiB, 1GiB, or 10MB for
// powers of ten. Zero needs no unit.
type Size int64

// Decode decodes the document into the struct that v points to. Fields are named by
// their tag `yaml:"name"`, with ",required" if the key must be there; `enum:"a,b"` lists
// what a string may be. Fields without a tag are not touched. The error is a *Faults.
func (d *Document) Decode(v any) error {
	var faults Faults
	r := &Reader{doc: d, faults: &faults}
	r.decode(d.root, reflect.ValueOf(v).Elem(), "")
	return faults.ErrorOrNil()
}

var (
	durationType    = reflect.TypeFor[time.Duration]()
	timeType        = reflect.TypeFor[time.Time]()
	sizeType        = reflect.TypeFor[Size]()
	unmarshalerType = reflect.TypeFor[Unmarshaler]()
	textType        = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func (r *Reader) decode(n Node, v reflect.Value, enum string) {
	t := v.Type()
	switch {
	case reflect.PointerTo(t).Implements(unmarshalerType):
		v.Addr().Interface().(Unmarshaler).UnmarshalYAML(n, r)
		return
	case n.kind == Null:
		r.FaultOf(WrongType, n, "a value is missing; give one or leave the key out")
		return
	case t == durationType:
		r.duration(n, v)
		return
	case t == sizeType:
		r.size(n, v)
		return
	case t == timeType:
		r.time(n, v)
		return
	case reflect.PointerTo(t).Implements(textType):
		if r.Expect(n, String) {
			if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.text)); err != nil {
				r.Fault(n, "%v", err)
			}
		}
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		r.structure(n, v)
	case reflect.Map:
		r.mapping(n, v, enum)
	case reflect.Slice:
		r.list(n, v, enum)
	case reflect.Pointer:
		p := reflect.New(t.Elem())
		r.decode(n, p.Elem(), enum)
		v.Set(p)
	case reflect.String:
		r.text(n, v, enum)
	case reflect.Bool:
		if r.Expect(n, Bool) {
			v.SetBool(strings.EqualFold(n.text, "true"))
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float64:
		r.number(n, v)
	default:
		panic("BUG: yaml cannot decode into " + t.String())
	}
}

func (r *Reader) structure(n Node, v reflect.Value) {
	if !r.Expect(n, Map) {
		return
	}
	t := v.Type()
	var known []string
	var seen [maxFields]bool
	for i := 0; i < n.Len(); i++ {
		key, value := n.Entry(i)
		f, enum, ok := field(t, key.text)
		switch {
		case ok:
			seen[f] = true
			r.Key(key.text).decode(value, v.Field(f), enum)
		case r.path == nil && strings.HasPrefix(key.text, "x-"):
		default:
			if known == nil {
				known = fieldNames(t)
			}
			r.Unknown("key", key, known)
		}
	}
	for i := range t.NumField() {
		if name, options, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); options == "required" && !seen[i] {
			r.FaultOf(Required, n, "%q is required", name)
		}
	}
}

// maxFields is the most fields a struct may have.
const maxFields = 64

func field(t reflect.Type, key string) (index int, enum string, ok bool) {
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		if name, _, _ := strings.Cut(tag.Get("yaml"), ","); name == key && named(name) {
			return i, tag.Get("enum"), true
		}
	}
	return 0, "", false
}

// named reports whether a field has that name in files, and not none.
func named(name string) bool { return name != "" && name != "-" }

func fieldNames(t reflect.Type) []string {
	names := []string{}
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); named(name) {
			names = append(names, name)
		}
	}
	return names
}

func (r *Reader) mapping(n Node, v reflect.Value, enum string) {
	if !r.Expect(n, Map) {
		return
	}
	t := v.Type()
	m := reflect.MakeMapWithSize(t, n.Len())
	for i := 0; i < n.Len(); i++ {
		key, value := n.Entry(i)
		e := reflect.New(t.Elem()).Elem()
		r.Key(key.text).decode(value, e, enum)
		m.SetMapIndex(reflect.ValueOf(key.text).Convert(t.Key()), e)
	}
	v.Set(m)
}

func (r *Reader) list(n Node, v reflect.Value, enum string) {
	if !r.Expect(n, List) {
		return
	}
	s := reflect.MakeSlice(v.Type(), n.Len(), n.Len())
	for i := 0; i < n.Len(); i++ {
		r.Index(i).decode(n.Item(i), s.Index(i), enum)
	}
	v.Set(s)
}

func (r *Reader) text(n Node, v reflect.Value, enum string) {
	if !r.Expect(n, String) {
		return
	}
	if enum != "" && !slices.Contains(strings.Split(enum, ","), n.text) {
		r.NotOneOf(n, strings.Split(enum, ","))
		return
	}
	v.SetString(n.text)
}

// NotOneOf reports a string that is not among those allowed.
func (r *Reader) NotOneOf(n Node, allowed []string) {
	path := r.Path()
	r.faults.Add(r.doc.FaultAt(n.Pos(), path, "%s: %s is not one of: %s", path, n.describe(), strings.Join(allowed, ", ")).Of(NotOneOf))
}

func (r *Reader) number(n Node, v reflect.Value) {
	if !r.Expect(n, Number) {
		return
	}
	text := strings.ReplaceAll(n.text, "_", "")
	var err error
	switch bits := v.Type().Bits(); {
	case v.CanInt():
		var i int64
		i, err = strconv.ParseInt(text, 10, bits)
		v.SetInt(i)
	case v.CanUint():
		var u uint64
		u, err = strconv.ParseUint(text, 10, bits)
		v.SetUint(u)
	default:
		var f float64
		f, err = strconv.ParseFloat(text, bits)
		v.SetFloat(f)
	}
	if err != nil {
		what := "a whole decimal number"
		switch {
		case v.CanUint():
			what += " from 0"
		case v.CanFloat():
			what = "a decimal number"
		}
		v.SetZero()
		r.FaultOf(OutOfRange, n, "%s is out of range or not %s", n.describe(), what)
	}
}
