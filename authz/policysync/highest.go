package policysync

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// highestFile is the name in the state directory. It stays when the source changes and when the
// last good version is of a source without an order, which is when that version cannot tell.
const highestFile = "policy-highest.json"

// highest is the ordered version with the greatest number that was in force, as kept.
type highest struct {
	Format  int     `json:"format"` // 1
	Version Version `json:"version"`
}

// keepHighest writes which version no other may go below. Called by run.
func (s *Syncer) keepHighest() error {
	if s.highest.Number == 0 {
		return nil
	}
	before, err := readHighest(s.config.StateDir)
	if err == nil && before.Number >= s.highest.Number {
		return nil // another process of this machine may be further
	}
	b, err := json.Marshal(highest{Format: 1, Version: s.highest})
	if err != nil {
		return fmt.Errorf("keep the highest version: %w", err)
	}
	if err := writeDurably(s.config.StateDir, highestFile, b, 0o600); err != nil {
		return fmt.Errorf("keep the highest version: %w", err)
	}
	return nil
}

func readHighest(dir string) (Version, error) {
	name := filepath.Join(dir, highestFile)
	b, err := readFile(name, 4<<10)
	if err != nil {
		return Version{}, err
	}
	var h highest
	if err := json.Unmarshal(b, &h); err != nil {
		return Version{}, fmt.Errorf("%s is damaged: %w", name, err)
	}
	if h.Format != 1 {
		return Version{}, fmt.Errorf("%s is of another release", name)
	}
	return h.Version, nil
}

// recall learns from what is kept which versions would be a rollback. Called by run.
func (s *Syncer) recall() {
	if s.config.StateDir == "" {
		return
	}
	v, err := readHighest(s.config.StateDir)
	if err == nil {
		s.highest = v
	} else if !errors.Is(err, fs.ErrNotExist) {
		s.config.Log.Warn("the highest version is not readable, so that an older one could come back", "err", err)
	}
	g, err := readLastGood(s.config.StateDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		s.config.Log.Warn("kept policy not readable", "err", err)
	case g.Ordered && g.Version.Number > s.highest.Number:
		s.highest = g.Version
	}
}
