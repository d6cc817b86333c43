package e2e

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	mem "unsafe"

	"golang.org/x/sys/unix"
)

// confine takes something away from this process and executes a program. It does not return.
func confine(c confinement, args []string) {
	runtime.LockOSThread()
	err := map[confinement]func() error{
		nonroot: func() error {
			if err := syscall.Setgroups(nil); err != nil {
				return err
			}
			if err := syscall.Setgid(65534); err != nil {
				return err
			}
			return syscall.Setuid(65534)
		},
		readOnly: readOnlyRoot,
		noFilter: func() error { return forbid(attachFilter) },
		noDiag:   func() error { return forbid(socketDiag) },
		noRCU:    func() error { return forbid(membarrier) },
		noProof:  func() error { return forbid(attachFilter, socketDiag, membarrier) },
	}[c]()
	if err == nil {
		_ = os.Unsetenv("E2E_CONFINE")
		err = syscall.Exec(args[0], args, os.Environ())
	}
	fmt.Fprintf(os.Stderr, "confine: %s: %v\n", c, err)
	os.Exit(125)
}

// readOnlyRoot makes everything read-only, in a mount namespace of its own. Execute right
// after: only this thread is in it.
func readOnlyRoot() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	for _, dir := range []string{"/", os.TempDir()} {
		if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", dir, err)
		}
		if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("remount %s: %w", dir, err)
		}
	}
	return unix.Chroot("/")
}

// call is a system call to forbid: where args have these values.
type call struct {
	number uint32
	args   map[uint32]uint32
	errno  syscall.Errno
}

var (
	attachFilter = call{unix.SYS_SETSOCKOPT, map[uint32]uint32{2: unix.SO_ATTACH_FILTER}, unix.EPERM}
	socketDiag   = call{unix.SYS_SOCKET, map[uint32]uint32{0: unix.AF_NETLINK, 2: unix.NETLINK_SOCK_DIAG}, unix.EPERM}
	membarrier   = call{unix.SYS_MEMBARRIER, nil, unix.ENOSYS}
)

// forbid installs a seccomp filter for all threads. struct seccomp_data: the number at 0,
// arguments of 8 bytes from 16 on, the lower half first on this byte order.
func forbid(calls ...call) error {
	const load, equal, give = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	var p []unix.SockFilter
	for _, c := range calls {
		checks := [][2]uint32{{0, c.number}}
		for arg, value := range c.args {
			checks = append(checks, [2]uint32{16 + 8*arg, value})
		}
		for i, check := range checks {
			past := uint8(2*(len(checks)-i) - 1) // the loads, comparisons and the return that are left
			p = append(p, unix.SockFilter{Code: load, K: check[0]}, unix.SockFilter{Code: equal, Jf: past, K: check[1]})
		}
		p = append(p, unix.SockFilter{Code: give, K: unix.SECCOMP_RET_ERRNO | uint32(c.errno)})
	}
	p = append(p, unix.SockFilter{Code: give, K: unix.SECCOMP_RET_ALLOW})
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(mem.Pointer(&prog)))
	runtime.KeepAlive(p)
	if errno != 0 {
		return errno
	}
	return nil
}
