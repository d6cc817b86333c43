//go:build linux

package procfs

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Busy is how long the CPUs of the machine worked since it started, all together, and how
// long a hypervisor kept them from it.
type Busy struct{ Worked, Stolen time.Duration }

// Machine reads /proc/stat.
func Machine() (Busy, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Busy{}, err
	}
	return ParseMachine(string(text))
}

// ParseMachine reads the first line of /proc/stat:
// cpu user nice system idle iowait irq softirq steal guest guest_nice.
func ParseMachine(text string) (b Busy, err error) {
	line, _, _ := strings.Cut(text, "\n")
	f := strings.Fields(line)
	if len(f) < 9 || f[0] != "cpu" {
		return Busy{}, fmt.Errorf("parse /proc/stat: %q", line)
	}
	for i, s := range f[1:9] {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return Busy{}, fmt.Errorf("parse /proc/stat: %w", err)
		}
		switch i {
		case 3, 4: // idle, iowait
		case 7:
			b.Stolen += time.Duration(n) * Tick
		default:
			b.Worked += time.Duration(n) * Tick
		}
	}
	return b, nil
}

// Model is the CPU's name.
func Model() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}
