package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/internal/doctor"
	"github.com/sluiceproxy/sluice/internal/schema"
	"github.com/sluiceproxy/sluice/internal/yaml"
)

const schemaDir = "../../docs/schemas"

type printedJSON struct {
	file, command string
	of            reflect.Type
}

// printed is what commands print with --json: the file of its schema, which command, and the type.
var printed = []printedJSON{
	{"status", "sluice status", reflect.TypeFor[admin.Status]()},
	{"generations", "sluice status --generations", reflect.TypeFor[[]admin.Generation]()},
	{"progress", "sluice drain", reflect.TypeFor[admin.Progress]()},
	{"watch", "sluice drain --watch", reflect.TypeFor[admin.Watch]()},
	{"forecast", "sluice drain --dry-run", reflect.TypeFor[drain.Forecast]()},
	{"upgrade", "sluice upgrade", reflect.TypeFor[admin.UpgradeProgress]()},
	{"reload", "sluice reload", reflect.TypeFor[reloaded]()},
	{"fleet-status", "sluice fleet status", reflect.TypeFor[fleetReport]()},
	{"fleet-roll", "sluice fleet roll", reflect.TypeFor[rollReport]()},
	{"session-revoke", "sluice session revoke", reflect.TypeFor[admin.Revoked]()},
	{"session-keygen", "sluice session keygen", reflect.TypeFor[keyLine]()},
	{"health", "sluice health", reflect.TypeFor[verdict]()},
	{"version", "sluice version", reflect.TypeFor[admin.Build]()},
	{"settings", "sluice config show", reflect.TypeFor[[]settingLine]()},
	{"timeline", "sluice config show --timeline", reflect.TypeFor[timelineReport]()},
	{"environment", "sluice config env", reflect.TypeFor[[]envLine]()},
	{"faults", "sluice validate, sluice policy check", reflect.TypeFor[faultReport]()},
	{"policy-test", "sluice policy test", reflect.TypeFor[testReport]()},
	{"policy-explain", "sluice policy explain", reflect.TypeFor[explanation]()},
	{"policy-diff", "sluice policy diff", reflect.TypeFor[diffReport]()},
	{"policy-keygen", "sluice policy keygen", reflect.TypeFor[keyPair]()},
	{"policy-publish", "sluice policy publish, sluice policy rollback", reflect.TypeFor[published]()},
	{"policy-history", "sluice policy history", reflect.TypeFor[[]pastVersion]()},
	{"policy-verify", "sluice policy verify", reflect.TypeFor[verified]()},
	{"why", "sluice why", reflect.TypeFor[answerWhy]()},
	{"doctor", "sluice doctor", reflect.TypeFor[doctor.Report]()},
	{"rules", "sluice doctor --rules", reflect.TypeFor[[]ruleLine]()},
	{"explain", "sluice explain", reflect.TypeFor[[]explained]()},
	{"words", "sluice explain --list", reflect.TypeFor[[]string]()},
}

// verdict is what the process answers to `sluice health`: that type is of the wire only.
type verdict struct {
	Probe     string               `json:"probe"`
	OK        bool                 `json:"ok"`
	Process   health.ProcessReport `json:"process,omitzero"`
	Failing   []health.Reason      `json:"failing,omitempty"`          // checks that make it not OK, or kept it from starting
	Warning   []health.Reason      `json:"warnings,omitempty"`         // checks that are not well and do not count here
	Unknown   []string             `json:"unknown_excludes,omitempty"` // names given to --exclude that are no checks
	Truncated bool                 `json:"truncated,omitempty"`
	Error     string               `json:"error,omitempty"` // why there was no answer
}

// Every command that prints JSON has a schema.
func TestEveryJSONHasASchema(t *testing.T) {
	everyCommand(func(c *cobra.Command) {
		has := slices.ContainsFunc(printed, func(p printedJSON) bool { return slices.Contains(strings.Split(p.command, ", "), c.CommandPath()) })
		if c.Flags().Lookup("json") != nil && !has {
			t.Errorf("what %s --json prints has no schema", c.CommandPath())
		}
	})
}

// faults is how *yaml.Faults writes itself, and message any other error.
type faults struct {
	Errors []yaml.Fault `json:"errors"` // the first hundred
	Total  int          `json:"total"`
}

type message struct {
	Message string `json:"message"`
}

// The published schemas are what the types say. That real output obeys them is tested end to end
// (e2e/schemas_test.go).
func TestReferenceSchemasAreCurrent(t *testing.T) {
	words, err := schema.Comments(".", "../../admin", "../../drain", "../../health", "../../lifecycle/handover", "../../config", "../../authz/casebook", "../../authz/policysync", "../../internal/doctor", "../../internal/fleet", "../../internal/yaml")
	if err != nil {
		t.Fatal(err)
	}
	texts := func(n int, of func(int) string) (all []string) {
		for i := range n {
			all = append(all, of(i))
		}
		return all
	}
	codes := []string{}
	for _, c := range yaml.Codes() {
		codes = append(codes, string(c))
	}
	g := schema.Generator{
		Words: words,
		Texts: map[reflect.Type][]string{
			reflect.TypeFor[health.Process]():  texts(7, func(i int) string { return health.Process(i).Label() }),
			reflect.TypeFor[health.Status]():   texts(5, func(i int) string { return health.Status(i).String() }),
			reflect.TypeFor[health.Class]():    texts(3, func(i int) string { return health.Class(i).String() }),
			reflect.TypeFor[drain.Class]():     texts(5, func(i int) string { return drain.Class(i).String() }),
			reflect.TypeFor[doctor.Severity](): texts(3, func(i int) string { return doctor.Severity(i).String() }),
			reflect.TypeFor[yaml.Code]():       codes,
		},
		Any: map[reflect.Type][]reflect.Type{reflect.TypeFor[any](): {reflect.TypeFor[faults](), reflect.TypeFor[message]()}},
	}
	var known []string
	for _, p := range printed {
		known = append(known, p.file+".json")
		got, err := g.Form("What `"+p.command+" --json` prints", p.of)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(schemaDir, p.file+".json")
		if *update {
			if err := os.MkdirAll(schemaDir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the types say: go test ./cmd/sluice -run Reference -update-reference", name)
		}
	}
	files, err := filepath.Glob(filepath.Join(schemaDir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if !slices.Contains(known, filepath.Base(name)) {
			t.Errorf("%s is of nothing that is printed", name)
		}
	}
}
