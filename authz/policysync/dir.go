package policysync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"sync"
	"time"
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
	path    string
	objects Source // of the objects layout, without keys; nil: the layout is plain
	now     func() time.Time

	mu     sync.Mutex // guards what follows; held while the directory is read
	last   Head       // of the plain layout, as last read
	stamp  string     // names, sizes and times of the files that last was read from
	cached map[string][]byte
}

// NewDir returns the directory as a source. It need not exist yet.
func NewDir(path string, layout Layout) *Dir {
	d := &Dir{path: filepath.Clean(path), now: time.Now}
	if layout == Objects {
		d.objects = FromStore(NewDirStore(path), nil)
	}
	return d
}

// Name returns "directory <path>".
func (d *Dir) Name() string { return "directory " + d.path }

// Head reads the directory.
func (d *Dir) Head(ctx context.Context) (Head, error) {
	if err := ctx.Err(); err != nil {
		return Head{}, err
	}
	if d.objects != nil {
		return d.objects.Head(ctx)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.readPlain()
}

// Fetch returns an object of the last head.
func (d *Dir) Fetch(ctx context.Context, hash string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if d.objects != nil {
		return d.objects.Fetch(ctx, hash)
	}
	if !isHash(hash) {
		return nil, fmt.Errorf("%q is not a SHA-256 hash", hash)
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
