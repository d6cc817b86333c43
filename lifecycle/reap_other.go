//go:build !linux

package lifecycle

// Elsewhere nobody runs as PID 1.
func zombies() []int { return nil }

func reap(int) {}
