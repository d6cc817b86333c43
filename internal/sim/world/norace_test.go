//go:build !race

package world_test

const defaultSeeds = 2000

// crowdSize is of TestAHundredThousandHandles.
const crowdSize = 100_000
