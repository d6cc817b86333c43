//go:build linux

package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/bench/peers/procfs"
)

// machine is where and with what a run happened.
type machine struct {
	when       time.Time
	took       time.Duration
	cpus       int
	model      string
	kernel     string
	congestion string
	load       string // average before the run
	revision   string
	versions   [][2]string
}

func describe(ctx context.Context, o options, p programs) machine {
	m := machine{when: time.Now(), cpus: runtime.NumCPU(), model: procfs.Model(),
		kernel: kernel(), congestion: word("/proc/sys/net/ipv4/tcp_congestion_control"), load: word("/proc/loadavg")}
	m.revision = said(ctx, "git", "describe", "--always", "--dirty", "--abbrev=12")
	for _, v := range []struct {
		name    string
		command []string
	}{
		{"sluice", []string{p.sluice, "version"}},
		{"nginx", []string{p.nginx, "-v"}},
		{"haproxy", []string{p.haproxy, "-v"}},
		{"go", []string{"go", "version"}},
		{"gcc", []string{"gcc", "--version"}},
	} {
		if v.command[0] != "" {
			m.versions = append(m.versions, [2]string{v.name, said(ctx, v.command...)})
		}
	}
	if info, err := buildinfo.ReadFile(p.caddy); err == nil { // by its own word a build like ours is "unknown"
		m.versions = append(m.versions, [2]string{"caddy", info.Main.Version + " " + info.GoVersion})
	}
	return m
}

// said is the first line that a command prints, without checksums.
func said(ctx context.Context, command ...string) string {
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return regexp.MustCompile(` h1:\S+| - https?://\S+`).ReplaceAllString(line, "")
}

func word(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	w, _, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	return w
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%s %s %s", unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]))
}
