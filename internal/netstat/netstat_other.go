//go:build !linux

package netstat

import "errors"

// Read is not available on this platform.
func Read() (Counters, error) { return nil, errors.ErrUnsupported }

// OwnNamespace is false: there is nothing like it here.
func OwnNamespace() bool { return false }
