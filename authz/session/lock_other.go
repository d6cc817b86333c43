//go:build !darwin && !dragonfly && !freebsd && !linux && !netbsd && !openbsd

package session

import "os"

// tryLock locks nothing: on these systems one process at a time may have a list.
func tryLock(*os.File) (bool, error) { return true, nil }
