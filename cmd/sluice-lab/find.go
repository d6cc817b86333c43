package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// besides are the folders in which programs are looked for before the path.
func besides(self string) []string {
	dirs := []string{filepath.Dir(self)}
	if cwd, err := os.Getwd(); err == nil {
		dirs = append(dirs, filepath.Join(cwd, "bin"))
	}
	return dirs
}

// findSluice is the binary that was named, or the one beside this program; in a source tree it
// is built, so that what is tested is what is there.
func findSluice(ctx context.Context, named string) (path string, done func(), err error) {
	if named != "" {
		path, err = filepath.Abs(named)
		return path, func() {}, err
	}
	if _, err := os.Stat("cmd/sluice/main.go"); err == nil {
		return buildSluice(ctx)
	}
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	for _, dir := range besides(self) {
		if found, err := exec.LookPath(filepath.Join(dir, "sluice")); err == nil {
			path, err = filepath.Abs(found)
			return path, func() {}, err
		}
	}
	if found, err := exec.LookPath("sluice"); err == nil {
		return found, func() {}, nil
	}
	return "", nil, errors.New("no sluice here: put it beside this program, or name it with --sluice")
}

func buildSluice(ctx context.Context) (path string, done func(), err error) {
	dir, err := os.MkdirTemp("", "sluice-lab-bin-")
	if err != nil {
		return "", nil, err
	}
	done = func() { _ = os.RemoveAll(dir) }
	path = filepath.Join(dir, "sluice")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "./cmd/sluice")
	if out, err := cmd.CombinedOutput(); err != nil {
		done()
		return "", nil, fmt.Errorf("build sluice: %w: %s", err, out)
	}
	return path, done, nil
}
