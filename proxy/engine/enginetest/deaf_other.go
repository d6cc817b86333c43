//go:build !unix

package enginetest

import "testing"

// deafAddr needs a system where a listener can be made deaf.
func deafAddr(t *testing.T) string {
	t.Helper()
	t.Skip("no address that drops SYNs can be made here")
	return ""
}
