//go:build !linux

package synshed

import (
	"errors"
	"syscall"
)

// system refuses everything here: Close then says why nothing is proven.
var system = kernel{
	attach:      func(int) error { return errors.ErrUnsupported },
	detach:      func(int) error { return nil },
	barrier:     func() error { return errors.ErrUnsupported },
	acceptQueue: func(int) (int, error) { return 0, errors.ErrUnsupported },
	handshakes:  func(int) (int, error) { return 0, errors.ErrUnsupported },
	cookies:     func() Cookies { return Cookies{} },
}

// Supported says that SYNs cannot be shed on this platform.
func Supported() error { return errors.ErrUnsupported }

// OutQueue is not available on this platform.
func OutQueue(syscall.RawConn) (int, error) { return 0, errors.ErrUnsupported }

// CountCookies is not available on this platform: the zero Cookies is unknown.
func CountCookies() Cookies { return Cookies{} }

// Unread is 0: unknown.
func Unread(syscall.RawConn) int { return 0 }

// Acked is -1: unknown.
func Acked(syscall.RawConn) int64 { return -1 }
