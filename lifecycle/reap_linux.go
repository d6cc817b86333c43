package lifecycle

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// zombies lists the children of this process in state Z, from /proc (proc(5)). Without
// a readable /proc there are none.
func zombies() (pids []int) {
	self := []byte(strconv.Itoa(os.Getpid()))
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it is gone
		}
		// "pid (name) state ppid ...": the name may hold blanks and parentheses.
		end := bytes.LastIndexByte(stat, ')')
		if end < 0 {
			continue
		}
		fields := bytes.Fields(stat[end+1:])
		if len(fields) < 2 || fields[0][0] != 'Z' || !bytes.Equal(fields[1], self) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// reap waits for a child that is dead.
func reap(pid int) {
	var status syscall.WaitStatus
	// WNOHANG: whatever happened since, this never blocks.
	_, _ = syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
}
