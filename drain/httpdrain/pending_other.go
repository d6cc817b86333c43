//go:build !unix

package httpdrain

import "net"

// pending cannot be known here.
func pending(*net.TCPConn) bool { return false }
