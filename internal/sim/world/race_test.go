//go:build race

package world_test

// The race detector makes a history ten times as dear, and has little to find here.
const defaultSeeds = 300

// crowdSize is small for the same reason.
const crowdSize = 20_000
