package replica

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Process is a program with its log. Everything it starts is in its process group.
type Process struct {
	cmd     *exec.Cmd
	Started time.Time
	exited  chan struct{} // closed by wait, after err is set
	err     error
	logged  chan struct{} // closed when nobody holds the log any more
	closeIn io.Closer     // our end of the log

	mu   sync.Mutex // guards tail
	tail []string
}

// kept lines of a log in memory; the rest is in the file.
const kept = 40

// Launch starts a program whose output goes to dir/log and, line by line, to see (may be nil).
func Launch(dir string, env []string, see func(line string), name string, args ...string) (*Process, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, errors.Join(err, r.Close(), w.Close())
	}
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, w, w
	cmd.Env = append(os.Environ(), env...)
	ownGroup(cmd)
	p := &Process{cmd: cmd, Started: time.Now(), exited: make(chan struct{}), logged: make(chan struct{}), closeIn: r}
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", filepath.Base(name), err), r.Close(), log.Close())
	}
	go p.read(r, log, see) // ends when nobody writes any more, or with Release
	go p.wait()            // ends with the process
	return p, nil
}

func (p *Process) wait() {
	p.err = p.cmd.Wait()
	close(p.exited)
}

func (p *Process) read(r io.ReadCloser, log io.WriteCloser, see func(string)) {
	defer close(p.logged)
	defer log.Close()
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			_, _ = io.WriteString(log, line)
			line = strings.TrimRight(line, "\n")
			p.mu.Lock()
			p.tail = append(p.tail, line)
			p.tail = p.tail[max(0, len(p.tail)-kept):]
			p.mu.Unlock()
			if see != nil {
				see(line)
			}
		}
		if err != nil {
			_ = r.Close()
			return
		}
	}
}

// PID of the process that was started.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when that process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Signal sends one.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Wait returns when the process has ended, or with ctx.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("it did not end: %w", context.Cause(ctx))
	}
}

// Kill ends the process and all of its group at once, and joins what reads the log.
func (p *Process) Kill() {
	killGroup(p.cmd)
	<-p.exited
	p.Release()
}

// Release joins what reads the log, after everybody who wrote to it is gone; it does not
// wait for one who holds it and should not.
func (p *Process) Release() {
	select {
	case <-p.logged:
	case <-time.After(time.Second):
		_ = p.closeIn.Close()
		<-p.logged
	}
}

// Tail is the end of the log.
func (p *Process) Tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.tail, "\n")
}
