package session

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// CreateRing makes a key file with one fresh key, which only its owner can read, and the folder that it is in, unless there is
// one. Of several processes that do so at once one makes it. created says whether this one did.
func CreateRing(file string) (created bool, err error) {
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return false, nil // Load says what is wrong with it
	}
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, fmt.Errorf("make session keys: %w", err)
	}
	f, err := os.CreateTemp(dir, filepath.Base(file)+".*") // mode 0600
	if err != nil {
		return false, fmt.Errorf("make session keys: %w", err)
	}
	defer os.Remove(f.Name()) // the other name stays
	_, err = fmt.Fprintf(f, "# Keys of session cookies: the first seals, all open (docs/sessions.md). Whoever has one can log in as anybody.\n%s\n", NewKey())
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Link(f.Name(), file) // which never replaces one that came meanwhile
	}
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("make session keys: %w", err)
	}
	return true, nil
}
