package oidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/authz/authn/issuer"
)

// The bounds of what is kept.
const (
	maxKept = 4 << 20             // bytes
	keptFor = 30 * 24 * time.Hour // a provider that was not met for so long has to be met first
)

// store keeps what is known of a provider in a file, so that a start while it does not answer can serve logins as soon as it does.
type store struct {
	dir, file string // dir empty: nothing is kept
}

// kept is the file.
type kept struct {
	Format   int       `json:"format"` // 1
	Saved    time.Time `json:"saved"`
	Metadata string    `json:"metadata"`
	Keys     string    `json:"keys"`
}

func newStore(dir, provider string) store {
	return store{dir, filepath.Join(dir, "provider-"+strings.ReplaceAll(provider, "/", "-")+".json")}
}

// load returns what is kept of that issuer; nil: nothing is, or it is too old.
func (s store) load(want string, now time.Time) (*metadata, *issuer.KeySet, error) {
	if s.dir == "" {
		return nil, nil, nil
	}
	f, err := os.Open(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxKept))
	if err != nil {
		return nil, nil, err
	}
	var k kept
	if err := json.Unmarshal(src, &k); err != nil || k.Format != 1 {
		return nil, nil, fmt.Errorf("%s is damaged or of another release", s.file)
	}
	if now.Sub(k.Saved) > keptFor {
		return nil, nil, nil
	}
	m, err := parseMetadata([]byte(k.Metadata), want)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", s.file, err)
	}
	set, err := issuer.ParseKeySet([]byte(k.Keys))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", s.file, err)
	}
	return m, set, nil
}

// save replaces the file as a whole: write, fsync, rename.
func (s store) save(m *metadata, set *issuer.KeySet, now time.Time) (err error) {
	if s.dir == "" {
		return nil
	}
	src, err := json.Marshal(kept{Format: 1, Saved: now.UTC(), Metadata: m.text, Keys: set.Text()})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.dir, filepath.Base(s.file)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the error that counts is err
		}
	}()
	_, err = f.Write(src)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), s.file)
}
