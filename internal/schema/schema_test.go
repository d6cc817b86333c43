package schema

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type color int

func (c color) MarshalText() ([]byte, error) { return []byte("red"), nil }

type base struct {
	Name string `json:"name"`
}

type tree struct {
	base
	At    time.Time        `json:"at,omitzero"`
	Color color            `json:"color"`
	Kids  []tree           `json:"kids"`
	By    map[string]*tree `json:"by,omitempty"`
	Plain struct{ N uint64 }
	Gone  int `json:"-"`
	own   int
}

func TestForm(t *testing.T) {
	g := Generator{Words: map[string]string{"schema.tree.Color": "what it looks like"}, Texts: map[reflect.Type][]string{reflect.TypeFor[color](): {"red"}}}
	text, err := g.Form("Tree", reflect.TypeFor[tree]())
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	inner := `"type":"object","required":["name","color","kids","Plain"],"properties":{"name":{"type":"string"},"at":{"type":"string","format":"date-time"},
		"color":{"enum":["red"],"description":"what it looks like"},"kids":{"type":"array","items":{"$ref":"#/definitions/Tree"}},
		"by":{"type":"object","additionalProperties":{"$ref":"#/definitions/Tree"}},
		"Plain":{"type":"object","properties":{"N":{"type":"integer","minimum":0}},"required":["N"]}}`
	if err := json.Unmarshal([]byte(`{"$schema":"http://json-schema.org/draft-07/schema#","title":"Tree","definitions":{"Tree":{`+inner+`}},`+inner+`}`), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %s", text)
	}
	_ = tree{}.own
	if _, err := (&Generator{}).Form("", reflect.TypeFor[tree]()); err == nil || !strings.Contains(err.Error(), "schema.color") {
		t.Errorf("a type that nobody knows: %v", err)
	}
}

func TestComments(t *testing.T) {
	dir := t.TempDir()
	src := "package p\n\ntype T struct {\n\t// A is first.\n\tA int // of two\n\tB, C int // both\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Comments(dir)
	want := map[string]string{"p.T.A": "A is first. of two", "p.T.B": "both", "p.T.C": "both"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}
