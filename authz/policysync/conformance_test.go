package policysync_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluiceproxy/sluice/authz/policysync"
	"github.com/sluiceproxy/sluice/authz/policysync/sourcetest"
)

// put writes a file as a careful publisher does: aside, then renamed into place.
func put(t testing.TB, name, text string) {
	t.Helper()
	aside := filepath.Join(filepath.Dir(name), ".new")
	if err := os.WriteFile(aside, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(aside, name); err != nil {
		t.Fatal(err)
	}
}

// putPlain makes files the content of a plain directory.
func putPlain(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		put(t, filepath.Join(dir, name), text)
	}
	for _, path := range old {
		if _, stays := files[filepath.Base(path)]; !stays {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// putVolume makes files the content of a directory as a kubelet does: a new directory,
// and one rename of the link ..data.
func putVolume(t testing.TB, dir string, n int, files map[string]string) {
	t.Helper()
	side := fmt.Sprintf("..2026_%06d", n)
	if err := os.Mkdir(filepath.Join(dir, side), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, side, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_ = os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)) // may be there
	}
	old, _ := os.Readlink(filepath.Join(dir, "..data"))
	if err := os.Symlink(side, filepath.Join(dir, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if old != "" {
		if err := os.RemoveAll(filepath.Join(dir, old)); err != nil {
			t.Fatal(err)
		}
	}
}

// putObjects publishes to a directory of objects.
func putObjects(t testing.TB, dir string, version uint64, files map[string]string) {
	t.Helper()
	m := policysync.Manifest{Version: version, Prev: version - 1, Objects: map[string]string{}}
	if err := os.MkdirAll(filepath.Join(dir, "objects"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		sum := sha256.Sum256([]byte(text))
		m.Objects[name] = hex.EncodeToString(sum[:])
		put(t, filepath.Join(dir, "objects", m.Objects[name]), text)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "head"), string(raw))
}

func TestPlainDirectory(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Fixture {
		dir := t.TempDir()
		return sourcetest.Fixture{
			Source:  policysync.NewDir(dir, policysync.Plain),
			Publish: func(t *testing.T, files map[string]string) { putPlain(t, dir, files) },
		}
	})
}

func TestKubernetesVolume(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Fixture {
		dir, n := t.TempDir(), 0
		return sourcetest.Fixture{
			Source:  policysync.NewDir(dir, policysync.Plain),
			Publish: func(t *testing.T, files map[string]string) { n++; putVolume(t, dir, n, files) },
		}
	})
}

func TestObjectsDirectory(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Fixture {
		dir, version := t.TempDir(), uint64(0)
		return sourcetest.Fixture{
			Source:  policysync.NewDir(dir, policysync.Objects),
			Publish: func(t *testing.T, files map[string]string) { version++; putObjects(t, dir, version, files) },
		}
	})
}

func TestDirStore(t *testing.T) {
	sourcetest.RunStore(t, func(t *testing.T) (policysync.Store, func(*testing.T) policysync.Store) {
		dir := filepath.Join(t.TempDir(), "policy")
		if err := os.Mkdir(dir, 0o700); err != nil { // there is nothing to watch otherwise
			t.Fatal(err)
		}
		return policysync.NewDirStore(dir), func(*testing.T) policysync.Store { return policysync.NewDirStore(dir) }
	})
}
