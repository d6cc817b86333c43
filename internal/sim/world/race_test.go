//go:build race

package world_test

// The race detector makes a history ten times as dear, and has little to find here.
const defaultSeeds = 300
