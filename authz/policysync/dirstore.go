package policysync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/sluiceproxy/sluice/authz/policy"
)

// DirStore is a directory in the objects layout as a store:
//
//	head             the present head
//	heads/<number>   those that were in place, 20 digits each, and the present one
//	objects/<hash>   what they name
//	lock             held by a publisher while it swaps
//
// A crash at any moment leaves the old head or the new one, whole.
type DirStore struct{ path string }

// NewDirStore returns the directory as a store. It need not exist yet: Put and Swap make it.
func NewDirStore(path string) *DirStore { return &DirStore{filepath.Clean(path)} }

// Name returns "directory <path>".
func (d *DirStore) Name() string { return "directory " + d.path }

// RawHead reads the file head.
func (d *DirStore) RawHead(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	raw, err := readFile(filepath.Join(d.path, "head"), MaxRawHead)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s has no head", ErrNoPolicy, d.path)
	}
	if err != nil {
		return nil, fmt.Errorf("read head: %w", err)
	}
	return raw, nil
}

// Fetch reads a file of objects.
func (d *DirStore) Fetch(ctx context.Context, hash string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !isHash(hash) {
		return nil, fmt.Errorf("%q is not a SHA-256 hash", hash)
	}
	b, err := readFile(filepath.Join(d.path, "objects", hash), policy.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: objects/%s", ErrGone, hash)
	}
	return b, err
}

// Watch gives hints from the file system.
func (d *DirStore) Watch(ctx context.Context, _ Version) (<-chan struct{}, error) {
	return watchDir(ctx, d.path)
}

// Put writes a file of objects.
func (d *DirStore) Put(ctx context.Context, hash string, b []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !isHash(hash) {
		return fmt.Errorf("%q is not a SHA-256 hash", hash)
	}
	if err := fits(hash, len(b)); err != nil {
		return err
	}
	dir := filepath.Join(d.path, "objects")
	if old, err := readFile(filepath.Join(dir, hash), policy.MaxSize); err == nil && bytes.Equal(old, b) {
		// Another publisher may have renamed it a moment ago and not be done.
		return errors.Join(syncPath(filepath.Join(dir, hash)), syncPath(dir))
	}
	if err := writeDurably(dir, hash, b, 0o644); err != nil {
		return fmt.Errorf("put object %.12s: %w", hash, err)
	}
	return nil
}

// Swap replaces the file head under the lock.
func (d *DirStore) Swap(ctx context.Context, old, next []byte, number uint64) error {
	if len(next) > MaxRawHead {
		return fmt.Errorf("%w: the head has %d bytes; at most %d", ErrTooLarge, len(next), MaxRawHead)
	}
	if err := makeDir(d.path, 0o755); err != nil {
		return fmt.Errorf("swap head: %w", err)
	}
	release, err := d.lock(ctx)
	if err != nil {
		return fmt.Errorf("swap head: %w", err)
	}
	defer release()
	now, err := d.RawHead(ctx)
	switch {
	case errors.Is(err, ErrNoPolicy):
		now = nil
	case err != nil:
		return fmt.Errorf("swap head: %w", err)
	}
	if (now == nil) != (old == nil) || !bytes.Equal(now, old) {
		return ErrConflict
	}
	// A head that was put there by hand is not among the heads yet.
	heads := filepath.Join(d.path, "heads")
	if n := NumberOf(old); n > 0 {
		if _, err := os.Lstat(filepath.Join(heads, headName(n))); errors.Is(err, fs.ErrNotExist) {
			if err := writeDurably(heads, headName(n), old, 0o644); err != nil {
				return fmt.Errorf("swap head: keep the one before: %w", err)
			}
		}
	}
	// First among the heads, then in place: Heads passes over what is above the present one.
	if err := writeDurably(heads, headName(number), next, 0o644); err != nil {
		return fmt.Errorf("swap head: %w", err)
	}
	if err := writeDurably(d.path, "head", next, 0o644); err != nil {
		return fmt.Errorf("swap head: %w", err)
	}
	return nil
}

// Heads reads the files of heads.
func (d *DirStore) Heads(ctx context.Context, limit int) ([][]byte, error) {
	present, err := d.RawHead(ctx)
	if errors.Is(err, ErrNoPolicy) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(d.path, "heads"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read heads: %w", err)
	}
	list := [][]byte{present}
	for _, e := range slices.Backward(entries) { // by name, which is by number
		if limit > 0 && len(list) >= limit {
			break
		}
		n, err := strconv.ParseUint(e.Name(), 10, 64)
		if err != nil || e.Name() != headName(n) {
			continue
		}
		raw, err := readFile(filepath.Join(d.path, "heads", e.Name()), MaxRawHead)
		if err == nil && NumberOf(raw) == n && !bytes.Equal(raw, present) { // otherwise nobody published it as this
			list = append(list, raw)
		}
	}
	return list, nil
}

// lock takes the lock of the directory, which ends with the process that holds it.
func (d *DirStore) lock(ctx context.Context) (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(d.path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(ctx, f); err != nil {
		return nil, errors.Join(fmt.Errorf("another publisher: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil // closing releases
}

// headName is the name below heads, so that names sort as numbers do.
func headName(number uint64) string { return fmt.Sprintf("%020d", number) }
