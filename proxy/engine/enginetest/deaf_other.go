//go:build !unix

package enginetest

import (
	"os"
	"testing"
)

// deafAddr needs a system where a listener can be made deaf.
func deafAddr(t *testing.T) string {
	t.Helper()
	t.Skip("no address that drops SYNs can be made here")
	return ""
}

// duplicate is a second descriptor of a socket; there is none to be had here.
func duplicate(uintptr) *os.File { return nil }
