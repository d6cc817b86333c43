package policysync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Times of watching a directory.
const (
	quiet   = 100 * time.Millisecond // changes come in bursts: a hint is given after this long without one
	maxWait = time.Second            // but not later than this after the first
	rewatch = 2 * time.Second        // how often a directory that went away is looked for
)

// Watch gives hints from the file system. A directory that is replaced as a whole is
// found again; one behind a symbolic link that is redirected is found by polling.
func (d *Dir) Watch(ctx context.Context, _ Version) (<-chan struct{}, error) {
	return watchDir(ctx, d.path)
}

func watchDir(ctx context.Context, path string) (<-chan struct{}, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", path, err)
	}
	if err := w.Add(path); err != nil {
		return nil, errors.Join(fmt.Errorf("watch %s: %w", path, err), w.Close())
	}
	hints := make(chan struct{}, 1)
	// Owned by the caller through ctx; joined by the close of hints.
	go passHints(ctx, path, w, hints)
	return hints, nil
}

func passHints(ctx context.Context, path string, w *fsnotify.Watcher, hints chan<- struct{}) {
	defer close(hints) // after w: then everything is released
	defer w.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	var first time.Time // of the burst at hand; zero if there is none
	lost := false       // the directory went away
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-w.Events:
			if !ok {
				return
			}
			if e.Name == path && (e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename)) {
				lost = true
			}
		case _, ok := <-w.Errors: // an overflow: something changed
			if !ok {
				return
			}
		case <-timer.C:
			if lost {
				_ = w.Remove(path) // may have gone by itself
				if lost = w.Add(path) != nil; lost {
					timer.Reset(rewatch)
					continue
				}
			}
			first = time.Time{}
			select {
			case hints <- struct{}{}:
			default: // one is waiting to be taken
			}
			continue
		}
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		timer.Reset(max(0, min(quiet, maxWait-now.Sub(first))))
	}
}
