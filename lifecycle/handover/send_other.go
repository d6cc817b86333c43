//go:build !unix

package handover

import "errors"

func sendNotice(string, string) error { return errors.ErrUnsupported }

func sendDescriptor(string, string, int) error { return errors.ErrUnsupported }
