package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz/policysync"
)

// share is a directory that replicas read, each by a link of its own, so that it can be taken away from one.
type share struct{ base, dir string }

// newShare mounts a small disk, so that it can be full.
func newShare(t *testing.T) *share {
	t.Helper()
	s := &share{base: t.TempDir()}
	s.dir = filepath.Join(s.base, "disk", "policy")
	disk := filepath.Dir(s.dir)
	must(t, os.Mkdir(disk, 0o700))
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=2m,mode=0700"); err != nil {
		t.Skipf("a disk that can be full: %v (mounting needs root)", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	return s
}

func (s *share) link(name string) string { return filepath.Join(s.base, name) }

// part takes the directory away from a replica, and join gives it back.
func (s *share) part(t *testing.T, name string) { t.Helper(); must(t, os.Remove(s.link(name))) }
func (s *share) join(t *testing.T, name string) { t.Helper(); must(t, os.Symlink(s.dir, s.link(name))) }

// The kill matrix, as far as it applies to a directory: there is no leader, no history, and nothing slower than a file.
func TestKillMatrixOfADirectory(t *testing.T) {
	s := newShare(t)
	p := publisherTo(t, policysync.NewDirStore(s.dir), upstream(t))
	start := func(name string) *replica {
		s.join(t, name)
		return startReplicaOf(t, name, fmt.Sprintf("dir: %q, layout: objects, keys_file: %q", s.link(name), p.keys), "")
	}
	g := startGrounds(t, p, start)
	g.play(t, []row{
		{"nothing", func(_ *testing.T, publish func()) { publish() }},
		{"a publisher that died while it wrote", func(t *testing.T, publish func()) { p.died(t, s); publish() }},
		{"a publisher that hangs with the lock", func(t *testing.T, publish func()) { p.hangs(t, s, publish) }},
		{"the directory moved away and back", func(t *testing.T, publish func()) {
			away := s.dir + ".away"
			must(t, os.Rename(s.dir, away))
			for _, r := range g.replicas {
				r.await(t, "failure", sourceFailed)
			}
			must(t, os.Rename(away, s.dir))
			publish()
		}},
		{"one replica parted", func(t *testing.T, publish func()) {
			s.part(t, g.replicas[0].name)
			publish()
			p.converged(t, g.replicas[1:])
			if code := status(http.DefaultClient, fmt.Sprintf("http://%s/v%d", g.replicas[0].web, p.version)); code != 404 {
				t.Errorf("who is parted answers %d for the new version", code)
			}
			s.join(t, g.replicas[0].name)
		}},
		{"what is old removed while disconnected", func(t *testing.T, publish func()) {
			for _, r := range g.replicas {
				s.part(t, r.name)
			}
			p.publish(t)
			publish()
			s.removeOld(t, p)
			for _, r := range g.replicas {
				s.join(t, r.name)
			}
		}},
		{"no space (a full disk)", func(t *testing.T, publish func()) { p.fullDisk(t, s, publish) }},
		{"a head that nobody signed", func(t *testing.T, publish func()) {
			p.forged(t, g.replicas, func(_ context.Context, raw []byte) error {
				aside := filepath.Join(s.dir, ".forged")
				if err := os.WriteFile(aside, raw, 0o600); err != nil {
					return err
				}
				return os.Rename(aside, filepath.Join(s.dir, "head"))
			}, publish)
		}},
	})
	late := start("late")
	late.load(t, 50*time.Millisecond)
	p.converged(t, []*replica{late})
	p.judge(t, []*replica{late})
	keep(t, "Kill matrix of a directory", g.report.String())
}

func sourceFailed(m map[string]any) bool { return m["msg"] == "policy source failed" }

// died leaves what a crash can leave: files that were not renamed, and an object that its disk has lost a half of.
func (p *publisher) died(t *testing.T, s *share) {
	t.Helper()
	raw, object, _ := p.next()
	must(t, os.WriteFile(filepath.Join(s.dir, ".head.12345"), raw[:len(raw)/2], 0o600))
	must(t, os.WriteFile(filepath.Join(s.dir, "objects", sum(object)), object[:len(object)/2], 0o600))
	must(t, os.WriteFile(filepath.Join(s.dir, "heads", fmt.Sprintf("%020d", p.version+1)), raw[:len(raw)/2], 0o600))
}

// hangs has another publisher hold the lock: nothing is published meanwhile, and nobody waits for longer than it says.
func (p *publisher) hangs(t *testing.T, s *share, publish func()) {
	lock, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	must(t, err)
	defer lock.Close()
	must(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	raw, object, _ := p.next()
	if err := p.try(ctx, raw, object); err == nil || !strings.Contains(err.Error(), "another publisher") {
		t.Errorf("while another one holds the lock: %v", err)
	}
	must(t, lock.Close())
	publish()
}

// removeOld leaves the head and what it names.
func (s *share) removeOld(t *testing.T, p *publisher) {
	t.Helper()
	raw, err := p.store.RawHead(t.Context())
	must(t, err)
	text, _, err := policysync.SplitHead(raw)
	must(t, err)
	var m policysync.Manifest
	must(t, json.Unmarshal(text, &m))
	var named []string
	for _, hash := range m.Objects {
		named = append(named, hash)
	}
	removed := 0
	for _, sub := range []string{"objects", "heads"} {
		entries, err := os.ReadDir(filepath.Join(s.dir, sub))
		must(t, err)
		for _, e := range entries {
			if !slices.Contains(named, e.Name()) {
				must(t, os.Remove(filepath.Join(s.dir, sub, e.Name())))
				removed++
			}
		}
	}
	if removed < 4 {
		t.Errorf("%d files removed: there was nothing old", removed)
	}
}

// fullDisk fills it, so that nothing can be published, and then makes room.
func (p *publisher) fullDisk(t *testing.T, s *share, publish func()) {
	junk := filepath.Join(filepath.Dir(s.dir), "junk")
	f, err := os.Create(junk)
	must(t, err)
	defer f.Close()
	for piece := make([]byte, 64<<10); len(piece) > 0; {
		if _, err := f.Write(piece); err != nil {
			piece = piece[:len(piece)/2] // to the last byte
		}
	}
	raw, object, _ := p.next()
	if err := p.try(t.Context(), raw, object); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("published on a full disk: %v", err)
	}
	must(t, f.Close())
	must(t, os.Remove(junk))
	publish()
}
