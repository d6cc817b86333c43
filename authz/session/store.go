package session

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	lockWait    = 2 * time.Second
	compactFrom = 1000 // lines; and only where at most half of them are in force
)

// locked runs do while no other process writes the file. Readers take no lock.
func locked(file string, do func() error) (err error) {
	f, err := os.OpenFile(file+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }() // which unlocks
	for deadline := time.Now().Add(lockWait); ; time.Sleep(5 * time.Millisecond) {
		ok, err := tryLock(f)
		if err != nil {
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		if ok {
			return do()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("lock %s: another process holds it for more than %s", f.Name(), lockWait)
		}
	}
}

// appendRecords puts records at the end of the file, and on disk.
func appendRecords(name string, records []record) error {
	var text []byte
	for _, r := range records {
		text = appendLine(text, r)
	}
	return locked(name, func() (err error) {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		if err := mendTail(f); err != nil {
			return err
		}
		if _, err := f.Write(text); err != nil {
			return err
		}
		return f.Sync()
	})
}

// mendTail ends a last line that has no end: as a line if it is a record (somebody has edited the file), else by taking it away
// (somebody died while it was written, and has told nobody that it was).
func mendTail(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	from := max(0, size-maxLine)
	tail := make([]byte, size-from)
	if _, err := f.ReadAt(tail, from); err != nil && err != io.EOF {
		return err
	}
	last := bytes.LastIndexByte(tail, '\n') + 1
	if last == len(tail) {
		return nil
	}
	if _, err := parseLine(tail[last:]); err == nil || last == 0 && from > 0 {
		_, err := f.Write([]byte{'\n'}) // what is longer than a line may be is damage, and stays
		return err
	}
	return f.Truncate(from + int64(last))
}

// replace puts records in the place of the file. The caller holds the lock.
func replace(name string, records []record) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			if gone := os.Remove(f.Name()); !errors.Is(gone, fs.ErrNotExist) {
				err = errors.Join(err, gone)
			}
		}
	}()
	var text []byte
	for _, r := range records {
		text = appendLine(text, r)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
