package policysync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/authz/policy"
)

// Layout says how a directory holds a policy.
type Layout int

// The layouts.
const (
	Plain   Layout = iota // all *.yaml files of the directory are the policy
	Objects               // the file head names objects/<sha256>
)

func (l Layout) String() string {
	switch l {
	case Plain:
		return "plain"
	case Objects:
		return "objects"
	}
	return "invalid"
}

// UnmarshalText reads "plain" or "objects".
func (l *Layout) UnmarshalText(text []byte) error {
	switch string(text) {
	case "plain":
		*l = Plain
	case "objects":
		*l = Objects
	default:
		return fmt.Errorf("%q is not one of: plain, objects", text)
	}
	return nil
}

// maxFiles is the most files a policy may have.
const maxFiles = 10_000

// Dir is a directory as a source. It never writes to it.
type Dir struct {
	path   string
	layout Layout
	now    func() time.Time

	mu     sync.Mutex // guards what follows; held while the directory is read
	last   Head       // of the plain layout, as last read
	stamp  string     // names, sizes and times of the files that last was read from
	cached map[string][]byte
}

// NewDir returns the directory as a source. It need not exist yet.
func NewDir(path string, layout Layout) *Dir {
	return &Dir{path: filepath.Clean(path), layout: layout, now: time.Now}
}

// Name returns "directory <path>".
func (d *Dir) Name() string { return "directory " + d.path }

// Head reads the directory.
func (d *Dir) Head(ctx context.Context) (Head, error) {
	if err := ctx.Err(); err != nil {
		return Head{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.layout == Objects {
		return d.readManifest()
	}
	return d.readPlain()
}

// Fetch returns an object of the last head.
func (d *Dir) Fetch(ctx context.Context, hash string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !isHash(hash) {
		return nil, fmt.Errorf("%q is not a SHA-256 hash", hash)
	}
	if d.layout == Objects {
		b, err := readFile(filepath.Join(d.path, "objects", hash), policy.MaxSize)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: objects/%s", ErrGone, hash)
		}
		return b, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if b, ok := d.cached[hash]; ok {
		return b, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrGone, hash)
}

func isHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && hex.EncodeToString(b) == s
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

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
		return nil, fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return b, nil
}
