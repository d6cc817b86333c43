//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/bench/peers/load"
	"github.com/sluiceproxy/sluice/bench/peers/stats"
)

// What a small container has: half a CPU, in periods of the kernel's default length, and
// 128 MiB.
const (
	quotaPeriod = 100 * time.Millisecond
	quotaCPU    = 0.5
	quotaMemory = 128 << 20
	quotaLoad   = 0.6 // of what nginx does within the quota
)

// box is a pair of version 1 control groups, one for CPU and one for memory.
type box struct{ cpu, memory string }

// newBox makes one below the groups that this program is in. remove it when its processes
// have ended.
func newBox(name string) (b box, err error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return b, err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		for _, controller := range strings.Split(f[min(1, len(f)-1)], ",") {
			switch dir := filepath.Join("/sys/fs/cgroup", controller, f[len(f)-1], name); controller {
			case "cpu":
				b.cpu = dir
			case "memory":
				b.memory = dir
			}
		}
	}
	if b.cpu == "" || b.memory == "" {
		return b, errors.New("the cpu and memory controllers of cgroup version 1 are not mounted")
	}
	for _, set := range []struct{ dir, file, value string }{
		{b.cpu, "cpu.cfs_period_us", strconv.FormatInt(quotaPeriod.Microseconds(), 10)},
		{b.cpu, "cpu.cfs_quota_us", strconv.FormatInt(int64(quotaCPU*float64(quotaPeriod.Microseconds())), 10)},
		{b.memory, "memory.limit_in_bytes", strconv.Itoa(quotaMemory)},
	} {
		if err := os.Mkdir(set.dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return b, err
		}
		if err := os.WriteFile(filepath.Join(set.dir, set.file), []byte(set.value), 0o600); err != nil {
			return b, err
		}
	}
	return b, nil
}

// remove waits for the processes, which were killed: those that are nobody's child here
// take a moment.
func (b box) remove() (err error) {
	for until := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err = nil
		for _, dir := range []string{b.cpu, b.memory} {
			if e := os.Remove(dir); !errors.Is(e, os.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
		if err == nil || time.Now().After(until) {
			return err
		}
	}
}

// around makes a command run in the box from its first instruction on.
func (b box) around(args []string) []string {
	const enter = `echo $$ >"$1/cgroup.procs" && echo $$ >"$2/cgroup.procs" && shift 2 && exec "$@"`
	return append([]string{"sh", "-c", enter, "sh", b.cpu, b.memory}, args...)
}

// throttled is what the kernel counted: periods in all, those in which it made the group
// wait, and for how long.
type throttled struct {
	periods, waited float64
	wait            time.Duration
}

func (b box) throttled() (t throttled, err error) {
	text, err := os.ReadFile(filepath.Join(b.cpu, "cpu.stat"))
	if err != nil {
		return t, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return t, fmt.Errorf("cpu.stat: %q", line)
		}
		switch name {
		case "nr_periods":
			t.periods = n
		case "nr_throttled":
			t.waited = n
		case "throttled_time":
			t.wait = time.Duration(n)
		}
	}
	return t, nil
}

// peak is the most memory that the group ever had, and how often the kernel killed in it.
func (b box) peak() (bytes float64, killed int, err error) {
	text, err := os.ReadFile(filepath.Join(b.memory, "memory.max_usage_in_bytes"))
	if err != nil {
		return 0, 0, err
	}
	if bytes, err = strconv.ParseFloat(strings.TrimSpace(string(text)), 64); err != nil {
		return 0, 0, err
	}
	if text, err = os.ReadFile(filepath.Join(b.memory, "memory.oom_control")); err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			killed, err = strconv.Atoi(n)
		}
	}
	return bytes, killed, err
}

// quotaRate finds the rate of the row once: a part of what nginx does in the box.
func (a *arena) quotaRate(ctx context.Context, r row) (int, error) {
	if a.boxRate > 0 {
		return a.boxRate, nil
	}
	r.load.Mode, r.load.Rate = load.KeepAlive, 0
	s, err := a.take(ctx, r, entrant{"nginx", off}, -1)
	if err != nil {
		return 0, fmt.Errorf("what nginx does within the quota: %w", err)
	}
	a.boxRate = int(quotaLoad * s.Rate)
	return a.boxRate, nil
}

// drains stops sluice in its box with the client's connections open, and waits for its end.
func (a *arena) drains(s *sample, proxy *process, b box) error {
	began := time.Now()
	if err := syscall.Kill(proxy.group(), syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-proxy.exited:
	case <-time.After(45 * time.Second):
		return errors.New("the drain did not end: " + proxy.said())
	}
	_, killed, err := b.peak()
	if code := proxy.cmd.ProcessState.ExitCode(); err == nil && (code != 0 || killed > 0) {
		err = fmt.Errorf("the drain ended with %d, killed for memory: %d; %s", code, killed, proxy.said())
	}
	s.Drained = time.Since(began)
	return err
}

// quotaTable says what the kernel did to whom, and what became of the drains.
func (r report) quotaTable(b *strings.Builder, pairing int, row row) {
	fmt.Fprintf(b, "\nHalf a CPU in periods of %v, and %d MiB; the rate is %.0f%% of what nginx does closed-loop within that.\n\n", quotaPeriod, quotaMemory>>20, 100*quotaLoad)
	b.WriteString("| entrant | requests/s | periods throttled | throttled ms/s | p99 ms | most memory, MiB | throttled, to nginx | p99, to nginx |\n|---|---|---|---|---|---|---|---|\n")
	periods := func(s sample) float64 { return s.Throttled }
	p99 := func(s sample) float64 { return s.P99 }
	for _, e := range r.everybody() {
		get := func(f func(sample) float64) stats.Summary {
			return stats.Of(stats.Values(r.series(pairing, row.name, e, f)))
		}
		if get(p99).N == 0 {
			continue
		}
		to := func(f func(sample) float64) string {
			return ratio(stats.Ratio(r.series(pairing, row.name, e, f), r.series(pairing, row.name, e.rival("nginx"), f)))
		}
		fmt.Fprintf(b, "| %s | %.0f | %.1f%% | %.1f | %.2f (%.2f to %.2f) | %.1f | %s | %s |\n", e, get(func(s sample) float64 { return s.Rate }).Median, 100*get(periods).Median,
			get(func(s sample) float64 { return s.ThrottledMS }).Median, get(p99).Median/1e3, get(p99).Min/1e3, get(p99).Max/1e3,
			get(func(s sample) float64 { return s.Peak }).Median/(1<<20), to(periods), to(p99))
	}
	for _, s := range r.samples {
		if s.Pairing == pairing && s.Row == row.name && s.Drained > 0 {
			fmt.Fprintf(b, "\n%s, round %d: stopped with its %d connections open, drained in %v, exit 0, nothing killed.\n", s.Entrant, s.Round+1, row.load.Conns, s.Drained.Round(time.Millisecond))
		}
	}
}
