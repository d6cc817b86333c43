package main

import (
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// memory is what the collector keeps to. Generations that drain share it with the one that
// serves: together they live in one cgroup.
type memory struct {
	limit  int64 // for all; 0: none
	from   string
	cgroup int64
	apply  func(int64) // debug.SetMemoryLimit, but for tests
}

// newMemory finds the limit: GOMEMLIMIT, if the operator set it; otherwise nine tenths of
// the limit of the cgroup, where the kernel would kill us, so that there is room for what
// the collector does not see.
func newMemory() *memory {
	m := &memory{apply: func(n int64) { debug.SetMemoryLimit(n) }}
	if n := debug.SetMemoryLimit(-1); os.Getenv("GOMEMLIMIT") != "" && n < math.MaxInt64 {
		m.limit, m.from = n, "GOMEMLIMIT"
	} else if n, ok := cgroupLimit(os.DirFS("/")); ok && os.Getenv("GOMEMLIMIT") == "" {
		m.limit, m.from, m.cgroup = n/10*9, "nine tenths of the cgroup's limit", n
	}
	return m
}

// share takes one part of as many as there are processes.
func (m *memory) share(processes int) {
	if m.limit > 0 {
		m.apply(m.limit / int64(max(1, processes)))
	}
}

// say logs what the limit is.
func (m *memory) say(log *slog.Logger, processes int) {
	if m.limit > 0 {
		log.Info("memory", "limit", m.limit/int64(processes), "from", m.from, "cgroup", m.cgroup, "shared_by", processes)
	}
}

// cgroupLimit is the lowest memory limit of the cgroup of this process and of those above it,
// in either version; false: there is none, or it cannot be known.
func cgroupLimit(root fs.FS) (limit int64, ok bool) {
	limit = math.MaxInt64
	paths := cgroupPaths(root)
	mounts, err := fs.ReadFile(root, "proc/self/mountinfo")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(mounts)) {
		// 36 35 98:0 /root /mount options - type source superoptions (proc_pid_mountinfo(5))
		left, right, _ := strings.Cut(line, " - ")
		f, s := strings.Fields(left), strings.Fields(right)
		if len(f) < 5 || len(s) < 3 {
			continue
		}
		switch {
		case s[0] == "cgroup2":
			limit = min(limit, lowest(root, f[4], f[3], paths[""], "memory.max"))
		case s[0] == "cgroup" && strings.Contains(","+s[2]+",", ",memory,"):
			limit = min(limit, lowest(root, f[4], f[3], paths["memory"], "memory.limit_in_bytes"))
		}
	}
	// Version 1 writes "none" as the largest number of whole pages.
	return limit, limit < 1<<60
}

// cgroupPaths is where the process is, by controller; version 2 has the empty name.
func cgroupPaths(root fs.FS) map[string]string {
	paths := map[string]string{}
	text, _ := fs.ReadFile(root, "proc/self/cgroup") // without it nothing is found
	for line := range strings.Lines(string(text)) {
		if f := strings.SplitN(strings.TrimSpace(line), ":", 3); len(f) == 3 {
			for name := range strings.SplitSeq(f[1], ",") {
				paths[name] = f[2]
			}
		}
	}
	return paths
}

// lowest looks from the cgroup at place up to where the hierarchy is mounted.
func lowest(root fs.FS, mount, mountRoot, place, file string) int64 {
	limit := int64(math.MaxInt64)
	if place == "" {
		return limit
	}
	rel, inside := strings.CutPrefix(place, strings.TrimSuffix(mountRoot, "/"))
	if !inside {
		rel = "" // a container that sees its own cgroup as the whole
	}
	for dir := path.Clean("/" + rel); ; dir = path.Dir(dir) {
		text, err := fs.ReadFile(root, strings.TrimPrefix(path.Join(mount, dir, file), "/"))
		if n, perr := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && perr == nil { // "max" is no number
			limit = min(limit, n)
		}
		if dir == "/" {
			return limit
		}
	}
}
