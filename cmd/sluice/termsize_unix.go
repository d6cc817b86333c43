//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminalRows is the height of a terminal; 0: unknown.
func terminalRows(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Row)
}
