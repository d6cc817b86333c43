package world_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	seeds   = flag.Int("seeds", defaultSeeds, "how many histories to play")
	from    = flag.Uint64("from", 1, "the first seed")
	forever = flag.Bool("forever", false, "go on until a history fails, and say how it goes every 10 s; needs -timeout 0")
	seed    = flag.Uint64("seed", 0, "play this one only, and tell its story")
	only    = flag.String("mutant", "", "break this rule: with -seed in the story, without in TestMutantsAreCaught")
)
