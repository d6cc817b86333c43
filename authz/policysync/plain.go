package policysync

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/authz/policy"
)

// Times of the plain layout. Files are replaced one by one and may be written in
// place, so that a directory which changed a moment ago may be half way.
const (
	settled = 200 * time.Millisecond // older changes are taken to be complete
	racy    = 2 * time.Second        // younger files may change again without a new time stamp
)

// plainFile is a file of a plain directory before it is read.
type plainFile struct {
	name string // without directory
	path string
	info fs.FileInfo
}

// readPlain reads all *.yaml files. d.mu is held.
func (d *Dir) readPlain() (Head, error) {
	files, swapped, err := d.list()
	if err != nil {
		return Head{}, err
	}
	stamp, newest := stampOf(files)
	if info, err := os.Stat(d.path); err == nil && info.ModTime().After(newest) {
		newest = info.ModTime() // a file came or went
	}
	age := d.now().Sub(newest)
	if stamp == d.stamp && age > racy {
		return d.last, nil
	}
	head := Head{Objects: make([]Object, 0, len(files)), Created: newest}
	// A ..data swap is atomic; so is what nobody touched for a while.
	head.Unsettled = !swapped && age >= 0 && age < settled
	contents, total, all := map[string][]byte{}, 0, sha256.New()
	for _, f := range files {
		b, err := readFile(f.path, policy.MaxSize)
		if err != nil {
			return Head{}, fmt.Errorf("read policy: %w", err)
		}
		if total += len(b); total > policy.MaxSize {
			return Head{}, fmt.Errorf("read policy: %s holds more than %d bytes", d.path, policy.MaxSize)
		}
		hash := hashOf(b)
		contents[hash] = b
		head.Objects = append(head.Objects, Object{f.name, hash})
		fmt.Fprintf(all, "%s %q\n", hash, f.name)
	}
	head.Version = Version{d.last.Version.Number, hex.EncodeToString(all.Sum(nil))}
	if head.Version.Hash != d.last.Version.Hash {
		head.Version.Number++
	}
	d.last, d.stamp, d.cached = head, stamp, contents
	d.last.Unsettled = false // by the time that this is used again, it is
	return head, nil
}

// list returns the policy's files by name. swapped says that they are reached through
// the ..data link of a Kubernetes volume, which is followed once, so that all files are
// from the same side of a swap.
func (d *Dir) list() (files []plainFile, swapped bool, err error) {
	root := d.path
	if target, err := filepath.EvalSymlinks(filepath.Join(root, "..data")); err == nil {
		root, swapped = target, true
	}
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("%w: %s does not exist", ErrNoPolicy, d.path)
	}
	if err != nil {
		return nil, false, fmt.Errorf("read policy: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case strings.HasPrefix(name, "."):
			continue
		case strings.HasSuffix(name, ".yml"):
			return nil, false, fmt.Errorf("%s would be ignored; rename it to .yaml", filepath.Join(d.path, name))
		case !strings.HasSuffix(name, ".yaml"):
			continue
		}
		path := filepath.Join(root, name)
		info, err := os.Stat(path)
		if err != nil {
			return nil, false, fmt.Errorf("read policy: %w", err)
		}
		files = append(files, plainFile{name, path, info})
	}
	switch {
	case len(files) == 0:
		return nil, false, fmt.Errorf("%w: %s has no *.yaml files", ErrNoPolicy, d.path)
	case len(files) > maxFiles:
		return nil, false, fmt.Errorf("read policy: %s has %d files; at most %d", d.path, len(files), maxFiles)
	}
	return files, swapped, nil
}

// stampOf tells cheaply whether anything changed, and when it last did.
func stampOf(files []plainFile) (stamp string, newest time.Time) {
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "%s %d %d\n", f.path, f.info.Size(), f.info.ModTime().UnixNano())
		if f.info.ModTime().After(newest) {
			newest = f.info.ModTime()
		}
	}
	return b.String(), newest
}
