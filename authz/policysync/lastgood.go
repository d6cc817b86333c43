package policysync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sluiceproxy/sluice/authz/policy"
)

// lastGoodFile is the name in the state directory.
const lastGoodFile = "policy.json"

// lockFileName is the name of the lock beside it: its own, and closed to others, for who may open a file may lock it.
const lockFileName = "policy.lock"

// lockWait is how long a round waits for another process that keeps a version.
const lockWait = time.Second

// lastGood is a version as kept.
type lastGood struct {
	Format  int        `json:"format"` // 1
	Version Version    `json:"version"`
	Ordered bool       `json:"ordered"`
	Saved   time.Time  `json:"saved"`
	Head    []byte     `json:"head,omitempty"` // raw, with its signatures; of sources that have such a thing
	Files   []keptFile `json:"files"`          // those of the version and no others
	Sum     string     `json:"sum"`            // over names and texts, against a damaged disk
}

type keptFile struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

func (g *lastGood) sum() string {
	b, _ := json.Marshal(g.Files) // strings only: cannot fail
	return hashOf(b)
}

// keep has the version that was applied kept by keepOwed, so that a crash at any moment leaves this
// one or the one before. Called by run.
func (s *Syncer) keep(h Head, files []policy.File) {
	if s.config.StateDir == "" {
		return
	}
	g := lastGood{Format: 1, Version: h.Version, Ordered: h.Ordered, Saved: time.Now().UTC(), Head: h.Raw}
	for _, f := range files[:len(files)-len(s.config.Extra)] {
		g.Files = append(g.Files, keptFile{f.Name, string(f.Src)})
	}
	g.Sum = g.sum()
	s.unkept, s.keptHead = &g, hashOf(h.Raw)
}

// keepHead keeps the head of the version in force anew if it has other signatures than when it
// was kept: it may be that only these will be believed at the next start. Called by run.
func (s *Syncer) keepHead(h Head) {
	if s.config.StateDir == "" || h.Raw == nil || s.keptHead == hashOf(h.Raw) {
		return
	}
	if s.unkept == nil {
		g, err := readLastGood(s.config.StateDir)
		if err != nil {
			s.kept(err) // and tried again with the next round
			return
		}
		s.unkept = g
	}
	s.keptHead = hashOf(h.Raw)
	if s.unkept.Version != h.Version {
		s.unkept = nil // another process of this machine keeps a newer one
		return
	}
	s.unkept.Head = h.Raw
}

// keepOwed writes what is not kept yet, after each round until it is, whatever came of the round: the disk may have been full, and
// who takes the source away has no say in it. Called by run.
func (s *Syncer) keepOwed(ctx context.Context) {
	if s.unkept == nil {
		return
	}
	err := s.keepLocked(ctx)
	if ctx.Err() != nil && err != nil {
		return // we are closing
	}
	if err == nil {
		s.unkept = nil
	}
	s.kept(err)
}

// keepLocked writes while no other process of this machine does: one generation may end while the next one begins.
func (s *Syncer) keepLocked(ctx context.Context) error {
	if err := makeDir(s.config.StateDir, 0o700); err != nil {
		return fmt.Errorf("keep policy: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(s.config.StateDir, lockFileName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("keep policy: %w", err)
	}
	defer lock.Close() // releases it
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	if err := lockFile(ctx, lock); err != nil && !errors.Is(err, errors.ErrUnsupported) { // without locks, the last one who writes wins
		return fmt.Errorf("keep policy: another process keeps one: %w", err)
	}
	g := s.unkept
	before, err := readLastGood(s.config.StateDir)
	if further := err == nil && before.Ordered && g.Ordered && before.Version.Number > g.Version.Number; !further {
		if err := writeLastGood(s.config.StateDir, g); err != nil {
			return err
		}
	}
	return s.keepHighest()
}

// kept notes whether the version in force could be kept.
func (s *Syncer) kept(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	s.mu.Lock()
	before, number := s.status.StateError, s.status.Version.Number
	s.status.StateError = text
	s.mu.Unlock()
	switch {
	case text == before:
	case text == "":
		s.config.Log.Info("policy version kept", "version", number)
	default:
		s.config.Log.Warn("policy version not kept", "version", number, "err", err)
	}
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

// startFromLastGood puts the kept version in force if that is allowed and the source
// gave none, because of why. Called by run.
func (s *Syncer) startFromLastGood(ctx context.Context, why error) {
	if s.config.StateDir == "" || s.config.StartFromLastGood <= 0 || ctx.Err() != nil {
		return
	}
	g, h, err := s.goodToStart()
	if err == nil {
		var doc *policy.Document
		if doc, err = policy.ParseFiles(append(g.files(), s.config.Extra...)); err == nil {
			err = s.config.Apply(ctx, g.Version, doc)
		}
	}
	if err != nil {
		s.config.Log.Warn("no start from the last good policy", "err", err)
		return
	}
	s.mu.Lock()
	s.status.Version, s.status.Applied, s.status.LastGood = g.Version, time.Now(), true
	s.status.Ordered, s.status.Published, s.status.Expires = g.Ordered, h.Created, h.Expires
	s.confirmed = g.Saved
	s.mu.Unlock()
	s.config.Log.Warn("started from the last good policy", "version", g.Version.Number, "hash", g.Version.Hash, "kept", g.Saved, "because", why)
}

// goodToStart returns what is kept if it may be put in force today: young enough, and
// believed by the keys of today. Its head is zero if none is kept.
func (s *Syncer) goodToStart() (*lastGood, Head, error) {
	g, err := readLastGood(s.config.StateDir)
	if err != nil {
		return nil, Head{}, err
	}
	if age := time.Since(g.Saved); age > s.config.StartFromLastGood || age < 0 {
		return nil, Head{}, fmt.Errorf("it was kept %s ago; the limit is %s", age.Round(time.Second), s.config.StartFromLastGood)
	}
	if g.Head == nil {
		if s.config.Trust != nil {
			return nil, Head{}, errors.New("it was kept without signatures, and the configuration has keys (policy.keys_file)")
		}
		return g, Head{}, nil
	}
	h, err := OpenHead(g.Head, s.config.Trust)
	if err != nil {
		return nil, Head{}, err
	}
	if r := s.admissible(h, time.Now()); r != nil {
		return nil, Head{}, r
	}
	return g, h, g.matches(h)
}

// matches compares what is kept with what its head says, as a fetch would.
func (g *lastGood) matches(h Head) error {
	if h.Version != g.Version || len(h.Objects) != len(g.Files) {
		return errors.New("it is not what its head says")
	}
	for i, o := range h.Objects { // both by name
		if f := g.Files[i]; f.Name != o.Name || hashOf([]byte(f.Text)) != o.Hash {
			return fmt.Errorf("its file %s is not what its head says", f.Name)
		}
	}
	return nil
}

func (g *lastGood) files() []policy.File {
	files := make([]policy.File, len(g.Files))
	for i, f := range g.Files {
		files[i] = policy.File{Name: f.Name, Src: []byte(f.Text)}
	}
	return files
}
