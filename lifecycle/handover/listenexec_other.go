//go:build !unix

package handover

import "errors"

// ListenExec is not available on this platform.
func ListenExec([]string) error { return errors.ErrUnsupported }
