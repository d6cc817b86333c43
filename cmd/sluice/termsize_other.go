//go:build !unix

package main

import "os"

// terminalRows is the height of a terminal; 0: unknown here.
func terminalRows(*os.File) int { return 0 }
