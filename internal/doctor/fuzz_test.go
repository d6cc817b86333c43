package doctor_test

import (
	"testing"

	"github.com/sluiceproxy/sluice/internal/doctor"
)

// FuzzExamine: whatever a file holds, every finding has a rule, a place within the file and a
// remedy, and the patch applies to it.
func FuzzExamine(f *testing.F) {
	names := []string{"a.yaml", "a.json", "a.service", "a.socket", "Dockerfile"}
	for _, seeded := range faults {
		f.Add(uint8(0), []byte(seeded.new))
	}
	f.Add(uint8(2), []byte("[Service]\nExecStart=/sluice run \\\n -c /x\nTimeoutStopSec=1min 30s\n"))
	f.Add(uint8(4), []byte("FROM a AS b\nENTRYPOINT [\"/sluice\"]\nHEALTHCHECK --interval=5s \\\n CMD curl\n"))
	f.Add(uint8(1), []byte("{\"containerDefinitions\": [\n{\"name\": \"sluice\",\n\"command\": [\"run\", \"--drain-timeout=x\"]}]}"))
	f.Add(uint8(0), []byte("kind: List\napiVersion: v1\nitems:\n- {apiVersion: apps/v1, kind: Deployment, spec: {template: {spec: {containers: [{name: sluice, args: [run]}]}}}}\n"))
	known := map[string]bool{}
	for _, r := range doctor.Rules() {
		known[r.ID] = true
	}
	f.Fuzz(func(t *testing.T, kind uint8, text []byte) {
		files := []doctor.File{{Name: names[int(kind)%len(names)], Text: text}}
		r := doctor.Examine(files, doctor.Options{Balancer: "alb"})
		lines := 1
		for _, c := range text {
			if c == '\n' {
				lines++
			}
		}
		for _, g := range r.Findings {
			if !known[g.Rule] || g.Message == "" || g.Remedy == "" || g.Line > lines {
				t.Fatalf("%+v", g)
			}
		}
		apply(t, files, r.Patch())
	})
}
