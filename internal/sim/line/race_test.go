//go:build race

package line_test

// defaultSeeds is small: the race detector makes a history ten times as long.
const defaultSeeds = 40
