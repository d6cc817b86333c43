package policysync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// readFile reads a regular file of at most limit bytes. A pipe or device in the
// directory must not hold us up.
func readFile(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrTooLarge, name, limit)
	}
	return b, nil
}

// writeDurably makes b the content of dir/name, and dir if need be: write aside, fsync, rename,
// fsync of the directory. A crash leaves what was there or b.
func writeDurably(dir, name string, b []byte, mode fs.FileMode) (err error) {
	dirMode := fs.FileMode(0o700)
	if mode&0o044 != 0 {
		dirMode = 0o755
	}
	if err := makeDir(dir, dirMode); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+strings.TrimPrefix(name, ".")+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreNotExist(os.Remove(f.Name())))
		}
	}()
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncPath(dir)
}

// makeDir makes a directory unless it is there, durably.
func makeDir(dir string, mode fs.FileMode) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return err
	}
	return syncPath(filepath.Dir(dir))
}

// syncPath has the disk hold what a file or a directory holds.
func syncPath(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// lockRetry is how often who waits for a lock looks whether it is free.
const lockRetry = 10 * time.Millisecond

// lockFile waits for the lock of a file or directory until ctx is done. It ends with f.
func lockFile(ctx context.Context, f *os.File) error {
	for {
		held, err := tryLock(f)
		if err != nil {
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		if held {
			return nil
		}
		if err := sleep(ctx, lockRetry); err != nil {
			return fmt.Errorf("%s is locked: %w", f.Name(), err)
		}
	}
}
