package yaml

import (
	"encoding/json"
	"maps"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

type listener struct {
	Address      string        `yaml:"address,required"`
	Protocol     string        `yaml:"protocol" enum:"http,tcp"`
	DrainTimeout time.Duration `yaml:"drain_timeout"`
	MaxBody      Size          `yaml:"max_body"`
	Trusted      []netip.Addr  `yaml:"trusted"`
}

type edge struct {
	Version   int               `yaml:"version"`
	Listeners []listener        `yaml:"listeners"`
	Labels    map[string]string `yaml:"labels"`
	Ratio     float64           `yaml:"ratio"`
	Debug     bool              `yaml:"debug"`
	Port      uint16            `yaml:"port"`
	Admin     *listener         `yaml:"admin"`
}

func decode(t *testing.T, src string) (edge, error) {
	t.Helper()
	got := edge{Ratio: 0.5}
	doc, err := Parse("edge.yaml", []byte(src), Limits{})
	if err != nil {
		return got, err
	}
	return got, doc.Decode(&got)
}

func TestDecode(t *testing.T) {
	got, err := decode(t, `# edge
x-common: &common
  drain_timeout: 1m30s
  max_body: 10MiB
version: 1
listeners:
  - address: ":8080"
    <<: *common
    protocol: tcp
    trusted: [10.0.0.1, "::1"]
  - <<: [*common]
    address: b
    drain_timeout: 0
labels: {a: b, "1": yes}
debug: true
port: 65535
admin: {address: |
  x}
`)
	if err == nil {
		t.Fatalf("a literal in flow style was read: %+v", got)
	}
	got, err = decode(t, `x-common: &common {drain_timeout: 1m30s, max_body: 10MiB}
version: 1
listeners:
  - address: ":8080"
    <<: *common
    protocol: tcp
    trusted: [10.0.0.1, "::1"]
  - <<: [*common]
    address: b
    drain_timeout: 0
labels: {a: b, "1": yes}
debug: true
port: 65535
admin: {address: x}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := edge{
		Version: 1, Ratio: 0.5, Debug: true, Port: 65535,
		Listeners: []listener{
			{":8080", "tcp", 90 * time.Second, 10 << 20, []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.IPv6Loopback()}},
			{Address: "b", MaxBody: 10 << 20},
		},
		Labels: map[string]string{"a": "b", "1": "yes"},
		Admin:  &listener{Address: "x"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// The report is an interface: its text is what operators and their tools read.
func TestReportsEveryFaultAtOnce(t *testing.T) {
	_, err := decode(t, `version: 1
listeners:
  - address: :8080
    drain_timout: 30s
  - address: :8081
    protocol: htpp
    drain_timeout: 30
`)
	want := `edge.yaml:4:5  error [unknown-key] unknown key "drain_timout" in listeners[0]; did you mean "drain_timeout"?
   2 | listeners:
   3 |   - address: :8080
>  4 |     drain_timout: 30s
           ^
edge.yaml:6:15 error [not-one-of] listeners[1].protocol: "htpp" is not one of: http, tcp
   4 |     drain_timout: 30s
   5 |   - address: :8081
>  6 |     protocol: htpp
                     ^
edge.yaml:7:20 error [needs-unit] listeners[1].drain_timeout: number 30 needs a unit, for example "30s"
   5 |   - address: :8081
   6 |     protocol: htpp
>  7 |     drain_timeout: 30
                          ^
3 errors in edge.yaml; nothing was changed.`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestFaultsAsJSON(t *testing.T) {
	_, err := decode(t, "versoin: 1\n")
	got, _ := json.Marshal(err)
	want := `{"errors":[{"file":"edge.yaml","line":1,"col":1,"code":"unknown-key","message":"unknown key \"versoin\"","suggestion":"version"}],"total":1}`
	if string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestFaults(t *testing.T) {
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	for src, want := range map[string]string{
		"version: one":                 `1:10 version: "one" where a number is expected`,
		"version: 1.5":                 `1:10 version: number 1.5 is out of range or not a whole decimal number`,
		"version: 0x10":                `1:10 version: number 0x10 is out of range or not a whole decimal number`,
		"port: 65536":                  `1:7 port: number 65536 is out of range or not a whole decimal number from 0`,
		"port: -1":                     `1:7 port: number -1 is out of range or not a whole decimal number from 0`,
		"ratio: x":                     `1:8 ratio: "x" where a number is expected`,
		"debug: yes":                   `1:8 debug: "yes" where a boolean is expected`,
		"debug:":                       `1:1 debug: a value is missing; give one or leave the key out`,
		"listeners: {}":                `1:12 listeners: a mapping where a list is expected`,
		"listeners: [x]":               `1:13 listeners[0]: "x" where a mapping is expected`,
		"listeners: [{protocol: tcp}]": `1:13 listeners[0]: "address" is required`,
		"admin: {address: 1}":          `1:18 admin.address: number 1 where a string is expected; write "1"`,
		"admin: {address: a, drain_timeout: 1h-}":    `1:36 admin.drain_timeout: "1h-" is not a duration such as "30s", "1m30s" or "250ms"`,
		"admin: {address: a, drain_timeout: -1s}":    `1:36 admin.drain_timeout: "-1s" is negative`,
		"admin: {address: a, drain_timeout: \"30\"}": `1:36 admin.drain_timeout: number 30 needs a unit, for example "30s"`,
		"admin: {address: a, max_body: 10}":          `1:31 admin.max_body: number 10 needs a unit, for example "10MiB"`,
		"admin: {address: a, max_body: 10 MiB}":      `1:31 admin.max_body: "10 MiB" is not a size such as "64KiB" or "10MiB"`,
		"admin: {address: a, max_body: 9999999TiB}":  `1:31 admin.max_body: "9999999TiB" is not a size such as "64KiB" or "10MiB"`,
		"admin: {address: a, trusted: [x]}":          `1:31 admin.trusted[0]: ParseAddr("x"): unable to parse IP`,
		"labels: {a: 1}":                             `1:13 labels.a: number 1 where a string is expected; write "1"`,
		"version: 1\nversion: 2":                     `2:1 key "version" is given twice; first in line 1`,
		"zzz: 1":                                     `1:1 unknown key "zzz"`,
		"labels: {x-a: b}\nlabel: {}":                `2:1 unknown key "label"; did you mean "labels"?`,
		"- a":                                        `1:1 the file is a list; it must be a mapping of keys to values`,
		"x":                                          `1:1 the file is "x"; it must be a mapping of keys to values`,
		"version: 1\n---\nversion: 2":                `2:1 a second document in one file; put it into a file of its own`,
		"version: *v":                                `1:10 alias *v has no anchor &v before it`,
		"version: !!int 1":                           `1:10 tags such as !!int are not used here`,
		"<<: 1":                                      `1:5 << merges mappings, not number 1`,
		"<<: [1]":                                    `1:6 << merges mappings, not number 1`,
		"x-a: " + deep:                               `1:38 nested more than 32 deep`,
		"x-a: [":                                     `1:6 sequence end token ']' not found`,
		"labels: {a: \"é\", é: b, é: c}":             `1:24 key "é" is given twice; first in line 1`,
	} {
		_, err := decode(t, src)
		faults, ok := err.(*Faults)
		if !ok || faults.Count() != 1 {
			t.Errorf("%q: %v; want one fault", src, err)
			continue
		}
		f := faults.List()[0]
		if got := strings.TrimPrefix(f.where(), "edge.yaml:") + " " + f.text(); got != want {
			t.Errorf("%q:\n got %s\nwant %s", src, got, want)
		}
	}
}

func TestEmptyFileSetsNothing(t *testing.T) {
	for _, src := range []string{"", "\n", "# only a comment\n", "---\n", "\xEF\xBB\xBF"} {
		if got, err := decode(t, src); err != nil || !reflect.DeepEqual(got, edge{Ratio: 0.5}) {
			t.Errorf("%q: %+v, %v", src, got, err)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{"512B": 512, "64KiB": 64 << 10, "10MiB": 10 << 20, "1GiB": 1 << 30, "10MB": 10e6, "1kB": 1000} {
		if got, err := ParseSize(text); got != want || err != nil {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for size, want := range map[Size]string{0: "0B", 512: "512B", 1 << 20: "1MiB", 3 << 29: "1536MiB", 1000: "1000B"} {
		if got := size.String(); got != want {
			t.Errorf("Size(%d) = %s, want %s", int64(size), got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"drain_timeout", "address", "protocol"}
	for word, want := range maps.All(map[string]string{
		"drain_timout": "drain_timeout", "adress": "address", "portocol": "protocol", "x": "", "listeners": "", strings.Repeat("a", 100): "",
	}) {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
