//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// connections is what every proxy is configured for, about; no row has more.
const connections = 9000

// descriptorsNeeded is what one process of the run must be allowed to open: two for each
// connection and a few, among them the pipes of HAProxy. It raises the limit if it can.
func descriptorsNeeded() (int, error) {
	const need = 2*connections + 1500
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 0, fmt.Errorf("getrlimit: %w", err)
	}
	if lim.Cur >= need {
		return need, nil
	}
	raised := unix.Rlimit{Cur: need, Max: max(need, lim.Max)}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised); err != nil {
		return 0, fmt.Errorf("%d connections need %d file descriptors in one process, and the limit of %d cannot be raised: %w; run `ulimit -n %d` first, as one who may",
			connections, need, lim.Max, err, need)
	}
	return need, nil
}

// findPrograms builds sluice and the floor and looks for the peers. One that is missing is
// left out, with a message.
func findPrograms(ctx context.Context, o *options, dir string) (p programs, err error) {
	if p.sluice, err = buildSluice(ctx, o, dir); err != nil {
		return p, err
	}
	for peer, to := range map[string]*string{"nginx": &p.nginx, "haproxy": &p.haproxy, "caddy": &p.caddy} {
		if !slices.Contains(o.peers, peer) {
			continue
		}
		places := []string{peer, "/usr/sbin/" + peer, "bin/" + peer}
		if peer == "caddy" {
			places = []string{o.caddy, "bin/caddy", "caddy"}
		}
		if *to = first(places); *to == "" {
			fmt.Fprintf(os.Stderr, "peers: no %s here: its columns are left out (bench/peers/setup.sh installs it)\n", peer)
		}
	}
	if slices.Contains(o.peers, "floor") {
		p.floor = filepath.Join(dir, "floor")
		out, err := exec.CommandContext(ctx, "gcc", "-O2", "-o", p.floor, "bench/peers/floor/floor.c").CombinedOutput()
		if err != nil {
			fmt.Fprintf(os.Stderr, "peers: the floor cannot be built: %v: %s: its column is left out\n", err, out)
			p.floor = ""
		}
	}
	return p, nil
}

func first(places []string) string {
	for _, place := range places {
		if place == "" {
			continue
		}
		if found, err := exec.LookPath(place); err == nil {
			if found, err = filepath.Abs(found); err == nil {
				return found
			}
		}
	}
	return ""
}

// buildSluice builds the tree's binary as make build does, and finds out whether it knows
// the engine that is wanted.
func buildSluice(ctx context.Context, o *options, dir string) (string, error) {
	bin := o.sluice
	if bin == "" {
		if _, err := os.Stat("cmd/sluice"); err != nil {
			return "", errors.New("start it in the folder of the repository, or name a binary with -sluice")
		}
		bin = filepath.Join(dir, "sluice")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, "./cmd/sluice")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build sluice: %w: %s", err, out)
		}
	}
	return filepath.Abs(bin)
}
