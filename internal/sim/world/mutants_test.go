package world_test

import (
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/internal/sim/world"
)

// maxSeeds is within how many histories a broken rule has to be noticed.
const maxSeeds = 2000

// Each rule, broken, is noticed for what it breaks, in a history that is clean when it
// is whole.
func TestMutantsAreCaught(t *testing.T) {
	for _, m := range world.Mutants() {
		if *only != "" && m.Name != *only {
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			for s := uint64(1); s <= maxSeeds; s++ {
				text := shown(m, world.Run(world.Options{Seed: s, Mutant: m, Scenario: m.Scenario}).Violations)
				if text == "" {
					continue
				}
				if clean := world.Run(world.Options{Seed: s, Scenario: m.Scenario}); len(clean.Violations) > 0 {
					t.Errorf("seed %d fails without the fault as well: %s", s, clean.Violations[0])
				}
				t.Logf("%s: noticed in history %d: %s", m.Breaks, s, text)
				return
			}
			t.Errorf("not noticed within %d histories: %s", maxSeeds, m.Breaks)
		})
	}
}

// shown is the first violation that fits what m breaks; empty: none does.
func shown(m world.Mutant, violations []string) string {
	for _, v := range violations {
		for _, part := range m.Shows {
			if strings.Contains(v, part) {
				return v
			}
		}
	}
	return ""
}
