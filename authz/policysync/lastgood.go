package policysync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/sluiceproxy/sluice/authz/policy"
)

// lastGoodFile is the name in the state directory.
const lastGoodFile = "policy.json"

// lastGood is a version as kept.
type lastGood struct {
	Format  int       `json:"format"` // 1
	Version Version   `json:"version"`
	Ordered bool      `json:"ordered"`
	Saved   time.Time `json:"saved"`
	Files   []struct {
		Name string `json:"name"`
		Text string `json:"text"`
	} `json:"files"`
	Sum string `json:"sum"` // over names and texts, against a damaged disk
}

func (g *lastGood) sum() string {
	b, _ := json.Marshal(g.Files) // strings only: cannot fail
	return hashOf(b)
}

// keep writes the version that was applied, so that a crash at any moment leaves this
// one or the one before. Called by run.
func (s *Syncer) keep(h Head, files []policy.File) {
	if s.config.StateDir == "" {
		return
	}
	g := lastGood{Format: 1, Version: h.Version, Ordered: h.Ordered, Saved: time.Now().UTC()}
	for _, f := range files {
		g.Files = append(g.Files, struct {
			Name string `json:"name"`
			Text string `json:"text"`
		}{f.Name, string(f.Src)})
	}
	g.Sum = g.sum()
	text := ""
	if err := writeLastGood(s.config.StateDir, &g); err != nil {
		text = err.Error()
		s.config.Log.Warn("policy version not kept", "version", h.Version.Number, "err", err)
	}
	s.mu.Lock()
	s.status.StateError = text
	s.mu.Unlock()
}

// writeLastGood replaces the file.
func writeLastGood(dir string, g *lastGood) error {
	b, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("keep policy: %w", err)
	}
	if err := writeDurably(dir, lastGoodFile, b, 0o600); err != nil {
		return fmt.Errorf("keep policy: %w", err)
	}
	return nil
}

// readLastGood returns what is kept.
func readLastGood(dir string) (*lastGood, error) {
	name := filepath.Join(dir, lastGoodFile)
	b, err := readFile(name, 4*policy.MaxSize)
	if err != nil {
		return nil, err
	}
	g := &lastGood{}
	if err := json.Unmarshal(b, g); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", name, err)
	}
	if g.Format != 1 || g.Sum != g.sum() {
		return nil, fmt.Errorf("%s is damaged or of another release", name)
	}
	return g, nil
}

// recall learns from what is kept which versions would be a rollback. Called by run.
func (s *Syncer) recall() {
	if s.config.StateDir == "" {
		return
	}
	g, err := readLastGood(s.config.StateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		s.config.Log.Warn("kept policy not readable", "err", err)
		return
	}
	if g.Ordered {
		s.highest = g.Version.Number
	}
}

// startFromLastGood puts the kept version in force if that is allowed and the source
// gave none, because of why. Called by run.
func (s *Syncer) startFromLastGood(ctx context.Context, why error) {
	if s.config.StateDir == "" || s.config.StartFromLastGood <= 0 || ctx.Err() != nil {
		return
	}
	g, err := readLastGood(s.config.StateDir)
	if err != nil {
		s.config.Log.Warn("no start from the last good policy", "err", err)
		return
	}
	if age := time.Since(g.Saved); age > s.config.StartFromLastGood || age < 0 {
		s.config.Log.Warn("no start from the last good policy", "err", fmt.Errorf("it was kept %s ago; the limit is %s", age.Round(time.Second), s.config.StartFromLastGood))
		return
	}
	files := make([]policy.File, len(g.Files))
	for i, f := range g.Files {
		files[i] = policy.File{Name: f.Name, Src: []byte(f.Text)}
	}
	doc, err := policy.ParseFiles(files)
	if err == nil {
		err = s.config.Apply(ctx, g.Version, doc)
	}
	if err != nil {
		s.config.Log.Warn("no start from the last good policy", "err", err)
		return
	}
	s.mu.Lock()
	s.status.Version, s.status.Applied, s.status.LastGood = g.Version, time.Now(), true
	s.confirmed = g.Saved
	s.mu.Unlock()
	s.config.Log.Warn("started from the last good policy", "version", g.Version.Number, "hash", g.Version.Hash, "kept", g.Saved, "because", why)
}
