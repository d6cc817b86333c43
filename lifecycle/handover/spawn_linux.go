package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// successor is a process that was started.
type successor struct {
	process *os.Process
	link    *os.File // the end that we write
}

// start runs the file that is at the command's path now, with sockets and a link.
// Descriptors go as numbers: see duplicate. fds stay the caller's.
func (c Command) start(offer Offer, fds []int, notify string) (*successor, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the link: %w", err)
	}
	defer r.Close()
	text, err := json.Marshal(offer)
	if err != nil {
		panic("BUG: an offer is always JSON: " + err.Error())
	}
	files := []uintptr{0, 1, 2}
	var names []string
	for i, fd := range fds {
		files, names = append(files, uintptr(fd)), append(names, offer.Sockets[i].Name)
	}
	files, names = append(files, r.Fd()), append(names, linkName)
	env := c.successorEnv(map[string]string{
		"LISTEN_FDS": strconv.Itoa(len(names)), "LISTEN_FDNAMES": strings.Join(names, ":"),
		"NOTIFY_SOCKET": notify, offerVariable: string(text),
	})
	argv := append([]string{c.Path, "listen-exec", "--", c.Path}, c.Args...)
	pid, err := syscall.ForkExec(c.Path, argv, &syscall.ProcAttr{Env: env, Files: files})
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("run %s: %w", c.Path, err)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		w.Close()
		return nil, err
	}
	return &successor{p, w}, nil
}

// say writes a word into the link. A successor that is gone is noticed by its exit.
func (s *successor) say(word byte) { _, _ = s.link.Write([]byte{word}) }

// lives reports whether the successor has not ended, noticed or not.
func (s *successor) lives() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, s.process.Pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && info.Signo == 0 // an error: somebody has waited for it already
}

// wait waits for the end of the successor and says how that was.
func (s *successor) wait() string {
	state, err := s.process.Wait()
	if err != nil {
		return err.Error()
	}
	return state.String()
}

func (s *successor) signal(sig syscall.Signal) error {
	if err := s.process.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}
