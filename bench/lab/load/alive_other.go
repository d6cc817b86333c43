//go:build !unix

package load

import "net"

// alive cannot be known here without reading.
func alive(net.Conn) bool { return true }
