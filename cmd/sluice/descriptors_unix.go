//go:build unix

package main

import "golang.org/x/sys/unix"

// haveDescriptor gets a descriptor and gives it back: an error says that there is none.
func haveDescriptor() error {
	fd, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// descriptorLimit is how many files this process may open; the runtime has raised the
// soft limit to the hard one. False: unknown.
func descriptorLimit() (uint64, bool) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, false
	}
	return uint64(r.Cur), true
}
