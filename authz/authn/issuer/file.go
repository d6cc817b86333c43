package issuer

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// File has the keys of an issuer from a file (a JWK Set). It is read when Load says so.
type File struct {
	name    string
	loading sync.Mutex
	keys    atomic.Pointer[KeySet]
	failed  atomic.Bool // the last Load did
}

var _ Keys = (*File)(nil)

// NewFile returns keys that are not read yet.
func NewFile(name string) *File { return &File{name: name} }

// Name is the file's.
func (f *File) Name() string { return f.name }

// Load reads the file. On an error the keys in force stay; changed says whether others are in force than before.
func (f *File) Load() (changed bool, err error) {
	f.loading.Lock()
	defer f.loading.Unlock()
	set, err := readKeySet(f.name)
	f.failed.Store(err != nil)
	if err != nil {
		return false, err
	}
	if old := f.keys.Load(); old != nil && old.text == set.text {
		return false, nil
	}
	f.keys.Store(set)
	return true, nil
}

// CheckFile says what is wrong with a file of keys, as Load would.
func CheckFile(name string) error {
	_, err := readKeySet(name)
	return err
}

func readKeySet(name string) (*KeySet, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read keys of tokens: %w", err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxKeySet+1))
	if err != nil {
		return nil, fmt.Errorf("read keys of tokens: %w", err)
	}
	set, err := ParseKeySet(src)
	if err != nil {
		return nil, fmt.Errorf("read keys of tokens: %s: %w", name, err)
	}
	return set, nil
}

// Current returns the keys of the last good Load.
func (f *File) Current() *KeySet { return f.keys.Load() }

// Refetch does nothing: whoever loads the file does so when it changes.
func (f *File) Refetch(context.Context) bool { return !f.failed.Load() }
