//go:build !unix

package handover

import (
	"errors"
	"net"
	"os"
)

func duplicate(net.Listener) (int, error) { return -1, errors.ErrUnsupported }

func closeFD(int) {}

func listenerOf(int, string) (net.Listener, error) { return nil, errors.ErrUnsupported }

func adoptListener(int, string) (net.Listener, error) { return nil, errors.ErrUnsupported }

func adoptFile(fd int, name string) *os.File { return os.NewFile(uintptr(fd), name) }
