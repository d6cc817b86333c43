package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	pointer "unsafe" // the tables of cases have a verdict of that name
)

// A network namespace of its own for a piece of a test: the kernel's counters then speak of
// that piece alone. The piece is the test binary once more, in a fresh namespace.

// insideEnv tells the test binary that it runs in one, and what it is to do there.
const insideEnv = "E2E_INSIDE"

// isolated is the command that runs one test of this binary in a network namespace of its
// own. Whoever is not root gets a user namespace around it.
func isolated(test, work string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "-test.run", "^"+test+"$", "-test.v", "-test.timeout", "5m")
	cmd.Env = append(os.Environ(), insideEnv+"="+work, "E2E_BUILT="+built.sluice+":"+built.cheat)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return cmd
}

// needNamespaces skips a test where the kernel refuses to make one.
func needNamespaces(t *testing.T) {
	t.Helper()
	out, err := isolated("TestNothingAtAll", "{}").CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EINVAL):
		t.Skipf("this kernel gives no network namespace to us (%v): nothing was tested here", err)
	case err != nil:
		t.Fatalf("a network namespace: %v\n%s", err, out)
	}
}

// loopbackUp brings up the only interface of a fresh namespace.
func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer syscall.Close(fd)
	var request struct { // struct ifreq
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "lo")
	request.flags = syscall.IFF_UP | syscall.IFF_RUNNING
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(pointer.Pointer(&request))); errno != 0 {
		return fmt.Errorf("SIOCSIFFLAGS: %w", errno)
	}
	return nil
}

// kernelCounters are what the receipt calls its witness, as this test reads them itself.
type kernelCounters struct {
	OutRsts, AbortOnClose, AbortOnData, ListenOverflows, ListenDrops, SyncookiesSent int
}

func readKernel(t *testing.T) kernelCounters {
	t.Helper()
	all := map[string]int{}
	for _, file := range []string{"/proc/self/net/snmp", "/proc/self/net/netstat"} {
		lines := strings.Split(read(t, file), "\n")
		for i := 0; i+1 < len(lines); i += 2 {
			names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
			for j := 1; j < len(names) && j < len(values); j++ {
				if n, err := strconv.Atoi(values[j]); err == nil {
					all[names[0]+names[j]] = n
				}
			}
		}
	}
	return kernelCounters{
		all["Tcp:OutRsts"], all["TcpExt:TCPAbortOnClose"], all["TcpExt:TCPAbortOnData"],
		all["TcpExt:ListenOverflows"], all["TcpExt:ListenDrops"], all["TcpExt:SyncookiesSent"],
	}
}

func (k kernelCounters) since(b kernelCounters) kernelCounters {
	return kernelCounters{
		k.OutRsts - b.OutRsts, k.AbortOnClose - b.AbortOnClose, k.AbortOnData - b.AbortOnData,
		k.ListenOverflows - b.ListenOverflows, k.ListenDrops - b.ListenDrops, k.SyncookiesSent - b.SyncookiesSent,
	}
}
