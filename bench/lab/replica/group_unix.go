//go:build unix

package replica

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// Alive says that a process runs; one that has ended and was not waited for does not.
func Alive(pid int) bool {
	if err := syscall.Kill(pid, 0); err != nil {
		return err == syscall.EPERM
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true // no /proc here
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// End sends a signal to a process that is not our child and waits until it is gone.
func End(pid int, sig syscall.Signal, within time.Duration) bool {
	_ = syscall.Kill(pid, sig)
	for end := time.Now().Add(within); Alive(pid); {
		if time.Now().After(end) {
			return false
		}
		time.Sleep(5 * time.Millisecond) // a pace: nobody tells about children of others
	}
	return true
}

// AwaitGone waits for a process that is not our child.
func AwaitGone(ctx context.Context, pid int) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for Alive(pid) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("process %d did not end: %w", pid, context.Cause(ctx))
		}
	}
	return nil
}
