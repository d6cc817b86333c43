package main

import (
	"errors"
	"io/fs"
	"net"
	"syscall"
)

// trouble is the word for what the operating system refused: the word under which docs/errors.md and "sluice explain"
// say what to do.
type trouble string

// The troubles.
const (
	addressInUse     trouble = "address-in-use"
	addressForbidden trouble = "address-forbidden"
	addressElsewhere trouble = "address-elsewhere"
	fileMissing      trouble = "file-missing"
	fileForbidden    trouble = "file-forbidden"
	noDescriptors    trouble = "no-descriptors"
	diskFull         trouble = "disk-full"
	noTrouble        trouble = "" // anything else: the error says it all
)

// troubles are all that have a section.
func troubles() []trouble {
	return []trouble{addressInUse, addressForbidden, addressElsewhere, fileMissing, fileForbidden, noDescriptors, diskFull}
}

// troubleOf finds the word for an error.
func troubleOf(err error) trouble {
	var bind *net.OpError
	bound := errors.As(err, &bind) && bind.Op == "listen"
	switch {
	case bound && errors.Is(err, syscall.EADDRINUSE):
		return addressInUse
	case bound && (errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM)):
		return addressForbidden
	case bound && errors.Is(err, syscall.EADDRNOTAVAIL):
		return addressElsewhere
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return noDescriptors
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return diskFull
	}
	var file *fs.PathError
	switch {
	case !errors.As(err, &file):
		return noTrouble
	case errors.Is(file, fs.ErrNotExist):
		return fileMissing
	case errors.Is(file, fs.ErrPermission):
		return fileForbidden
	}
	return noTrouble
}

// hint tells an operator where to read on; empty without a word.
func (t trouble) hint() string {
	if t == noTrouble {
		return ""
	}
	return "error [" + string(t) + `]: "sluice explain ` + string(t) + `" says what to do`
}
