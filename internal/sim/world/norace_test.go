//go:build !race

package world_test

const defaultSeeds = 2000
