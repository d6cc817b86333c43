package doctor

import (
	"strconv"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/internal/yaml"
)

// tree is a value in a YAML or JSON file that knows which file. The zero tree is a value
// that is not there.
type tree struct {
	src  *source
	node yaml.Node
	ok   bool
	base *tree // where keys are that a map does not have itself; nil: nowhere
}

// get follows keys of maps.
func (t tree) get(keys ...string) tree {
	for _, k := range keys {
		n, ok := t.node.Get(k)
		switch {
		case t.ok && ok:
			t = tree{src: t.src, node: n, ok: true}
		case t.ok && t.base != nil:
			t = t.base.get(k)
		default:
			return tree{src: t.src}
		}
	}
	return t
}

// first is the value of the first key that is there.
func (t tree) first(keys ...string) tree {
	for _, k := range keys {
		if v := t.get(k); v.ok {
			return v
		}
	}
	return tree{src: t.src}
}

func (t tree) at() spot {
	if !t.ok {
		return spot{}
	}
	p := t.node.Pos()
	return spot{t.src.name, p.Line, p.Col}
}

func (t tree) text() string {
	if !t.ok {
		return ""
	}
	return t.node.Text()
}

func (t tree) textValue() textValue { return textValue{t.at(), t.text()} }

func (t tree) isTrue() bool { return t.text() == "true" }

// items are the entries of a list.
func (t tree) items() (list []tree) {
	if t.ok && t.node.Kind() == yaml.List {
		for i := range t.node.Len() {
			list = append(list, tree{src: t.src, node: t.node.Item(i), ok: true})
		}
	}
	return list
}

// entries are the keys and values of a map.
func (t tree) entries(visit func(key, value tree)) {
	if t.ok && t.node.Kind() == yaml.Map {
		for i := range t.node.Len() {
			k, v := t.node.Entry(i)
			visit(tree{src: t.src, node: k, ok: true}, tree{src: t.src, node: v, ok: true})
		}
	}
}

// texts is a list of scalars; a single scalar is a list of one.
func (t tree) texts() (list []string) {
	if t.ok && t.node.Kind() != yaml.List && t.node.Kind() != yaml.Map && t.node.Kind() != yaml.Null {
		return []string{t.text()}
	}
	for _, it := range t.items() {
		list = append(list, it.text())
	}
	return list
}

func (t tree) number() number {
	n, err := strconv.ParseInt(t.text(), 10, 64)
	return number{t.at(), n, t.ok && err == nil}
}

// numberOr is a number with the platform's default.
func (t tree) numberOr(def int64) number {
	if n := t.number(); n.ok {
		return n
	}
	return number{t.at(), def, false}
}

// seconds is a number of seconds, or a duration as Go, compose and Prometheus write it.
func (t tree) seconds() seconds {
	d, ok := parseSeconds(t.text())
	return seconds{t.at(), d, t.ok && ok}
}

// secondsOr is the same with the platform's default.
func (t tree) secondsOr(def time.Duration) seconds {
	if s := t.seconds(); s.ok {
		return s
	}
	return seconds{t.at(), def, false}
}

func parseSeconds(text string) (time.Duration, bool) {
	if f, err := strconv.ParseFloat(text, 64); err == nil && f >= 0 && f < 1e9 {
		return time.Duration(f * float64(time.Second)), true
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0
}

// replace is an edit that writes another value in the place of a scalar.
func (t tree) replace(value string) edit {
	if !t.ok {
		return edit{}
	}
	return t.src.replaceAt(t.at(), t.text(), value)
}

// insert is an edit that adds a key to a map, on a line after one that holds a whole entry.
// There is none if every entry goes over several lines.
func (t tree) insert(key, value string) (e edit) {
	t.entries(func(k, v tree) {
		if e.file == "" && v.node.Kind() != yaml.Map && v.node.Kind() != yaml.List && v.node.Kind() != yaml.Null {
			e = t.src.insertAfter(k.at(), v.at(), v.text(), key, value)
		}
	})
	return e
}

// set replaces the value of a key, or adds it.
func (t tree) set(key, value string) edit {
	if v := t.get(key); v.ok {
		return v.replace(value)
	}
	return t.insert(key, value)
}

// spaces is an indentation.
func spaces(n int) string { return strings.Repeat(" ", max(n, 0)) }
