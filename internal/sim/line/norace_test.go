//go:build !race

package line_test

const defaultSeeds = 500
