//go:build !race

package portable_test

const raceEnabled = false
