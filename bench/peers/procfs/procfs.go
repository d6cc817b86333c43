//go:build linux

// Package procfs reads what a group of processes has cost: CPU time, memory and time
// spent waiting for a CPU.
//
//	before, err := procfs.Group(pgid)
//	...
//	after, err := procfs.Group(pgid)
//	cost, err := after.Since(before) // fails if a process came or went between
//
// CPU time is the process's own clock, in nanoseconds, and holds threads that have ended.
// How it splits into user and system comes from the kernel's ticks, which sample: trust
// the sum more than the parts.
package procfs

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Tick is the unit of utime and stime: 100 a second on every Linux of today.
const Tick = 10 * time.Millisecond

// Stat is what /proc/PID/stat tells of a process.
type Stat struct {
	PID, Group int
	State      byte
	User, Sys  time.Duration // of all threads, ended ones too; multiples of Tick
}

// ParseStat reads one line of /proc/PID/stat. The name in it may hold spaces and parentheses.
func ParseStat(line string) (Stat, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return Stat{}, fmt.Errorf("parse stat: no name in %q", line)
	}
	rest := strings.Fields(line[end+1:])
	if len(rest) < 13 || len(rest[0]) != 1 {
		return Stat{}, fmt.Errorf("parse stat: %d fields after the name in %q", len(rest), line)
	}
	n := [4]int{}
	for i, s := range []string{strings.TrimSpace(line[:open]), rest[2], rest[11], rest[12]} {
		v, err := strconv.Atoi(s)
		if err != nil {
			return Stat{}, fmt.Errorf("parse stat: %w", err)
		}
		n[i] = v
	}
	return Stat{PID: n[0], Group: n[1], State: rest[0][0],
		User: time.Duration(n[2]) * Tick, Sys: time.Duration(n[3]) * Tick}, nil
}

// Memory is a process's resident memory in bytes; PSS divides shared pages among sharers.
type Memory struct{ RSS, PSS int64 }

// ParseRollup reads /proc/PID/smaps_rollup.
func ParseRollup(text string) (m Memory, err error) {
	found := 0
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		var to *int64
		switch key {
		case "Rss":
			to = &m.RSS
		case "Pss":
			to = &m.PSS
		default:
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err != nil {
			return Memory{}, fmt.Errorf("parse smaps_rollup: %w", err)
		}
		*to, found = kib<<10, found+1
	}
	if found != 2 {
		return Memory{}, fmt.Errorf("parse smaps_rollup: %d of Rss and Pss found", found)
	}
	return m, nil
}

// ParseSchedstat reads how long a thread waited for a CPU from /proc/PID/task/TID/schedstat.
func ParseSchedstat(text string) (waited time.Duration, err error) {
	f := strings.Fields(text)
	if len(f) != 3 {
		return 0, fmt.Errorf("parse schedstat: %d fields in %q", len(f), text)
	}
	ns, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("parse schedstat: %w", err)
	}
	return time.Duration(ns), nil
}

// Usage is what one process has cost until now.
type Usage struct {
	CPU       time.Duration // all threads, by the process's clock
	User, Sys time.Duration // the same by ticks
	Waited    time.Duration // runnable without a CPU; threads that are alive
}

// Sample is the usage of each process of a group at one moment.
type Sample map[int]Usage

// Group samples every process of the process group.
func Group(pgid int) (Sample, error) {
	pids, err := members(pgid)
	if err != nil {
		return nil, err
	}
	s := Sample{}
	for _, st := range pids {
		cpu, err := clock(st.PID)
		if err != nil {
			return nil, fmt.Errorf("clock of process %d: %w", st.PID, err)
		}
		s[st.PID] = Usage{CPU: cpu, User: st.User, Sys: st.Sys, Waited: waited(st.PID)}
	}
	if len(s) == 0 {
		return nil, fmt.Errorf("process group %d is empty: did it end?", pgid)
	}
	return s, nil
}

// Since is what the group has cost since before. It fails if a process came or went:
// then the sum would lie.
func (s Sample) Since(before Sample) (sum Usage, err error) {
	now, then := slices.Sorted(maps.Keys(s)), slices.Sorted(maps.Keys(before))
	if !slices.Equal(now, then) {
		return Usage{}, fmt.Errorf("processes changed during a measurement: %v, then %v", then, now)
	}
	for pid, u := range s {
		b := before[pid]
		sum.CPU += u.CPU - b.CPU
		sum.User += u.User - b.User
		sum.Sys += u.Sys - b.Sys
		sum.Waited += u.Waited - b.Waited
	}
	return sum, nil
}

// GroupMemory sums the memory of every process of the group.
func GroupMemory(pgid int) (sum Memory, err error) {
	pids, err := members(pgid)
	if err != nil {
		return Memory{}, err
	}
	for _, st := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", st.PID))
		if err != nil {
			return Memory{}, err
		}
		m, err := ParseRollup(string(text))
		if err != nil {
			return Memory{}, err
		}
		sum.RSS, sum.PSS = sum.RSS+m.RSS, sum.PSS+m.PSS
	}
	return sum, nil
}

// members lists the processes of a group that are not zombies.
func members(pgid int) (found []Stat, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		line, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it ended meanwhile
		}
		st, err := ParseStat(string(line))
		if err != nil {
			return nil, err
		}
		if st.Group == pgid && st.State != 'Z' && st.State != 'X' {
			found = append(found, st)
		}
	}
	return found, nil
}

// clock reads the CPU clock of a process: clock_getcpuclockid(3) is ~pid<<3|2.
func clock(pid int) (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		return 0, err
	}
	return time.Duration(ts.Nano()), nil
}

func waited(pid int) (sum time.Duration) {
	dir := fmt.Sprintf("/proc/%d/task", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if text, err := os.ReadFile(dir + "/" + e.Name() + "/schedstat"); err == nil {
			if w, err := ParseSchedstat(string(text)); err == nil {
				sum += w
			}
		}
	}
	return sum
}
