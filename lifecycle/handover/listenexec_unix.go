//go:build unix

package handover

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// ListenExec becomes argv, with the process ID that sd_listen_fds(3) and
// sd_watchdog_enabled(3) ask for: only the process itself knows it, and it keeps it. It
// returns only if that failed.
func ListenExec(argv []string) error {
	if len(argv) == 0 {
		return fmt.Errorf("listen-exec: nothing to run")
	}
	pid := strconv.Itoa(os.Getpid())
	if err := os.Setenv("LISTEN_PID", pid); err != nil {
		return err
	}
	if os.Getenv("WATCHDOG_PID") != "" {
		if err := os.Setenv("WATCHDOG_PID", pid); err != nil {
			return err
		}
	}
	if err := syscall.Exec(argv[0], argv, os.Environ()); err != nil {
		return fmt.Errorf("listen-exec %s: %w", argv[0], err)
	}
	return nil
}
