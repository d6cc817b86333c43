//go:build !linux

package admin

import "net"

// ours has nothing to do: abstract sockets are Linux's.
type ours struct{ net.Listener }
