//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/bench/peers/load"
	"github.com/sluiceproxy/sluice/bench/peers/origin"
)

// cpus says where things run, as taskset wants it.
type cpus struct{ proxy, others string }

// place gives a proxy its CPUs: the last ones, and the rest to client and origin. With no
// rest all share all.
func place(workers, total int) cpus {
	if total <= workers {
		all := span(0, total-1)
		return cpus{all, all}
	}
	return cpus{span(total-workers, total-1), span(0, total-workers-1)}
}

func span(from, to int) string {
	if from == to {
		return strconv.Itoa(from)
	}
	return fmt.Sprintf("%d-%d", from, to)
}

// process is a program in a process group of its own, whose id is its pid.
type process struct {
	cmd    *exec.Cmd
	log    string        // file with what it printed on standard error
	exited chan struct{} // closed by the goroutine that waits for it
}

// start runs a program on some CPUs. It ends at the latest when ctx does. Its standard
// error goes to a file in dir, and its standard output as well unless cmd has a pipe.
func start(ctx context.Context, on, dir string, prepare func(*exec.Cmd), args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", on}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Dir = dir
	p := &process{cmd: cmd, log: filepath.Join(dir, filepath.Base(args[0])+".log"), exited: make(chan struct{})}
	f, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	cmd.Stderr, cmd.Stdout = f, f
	if prepare != nil {
		prepare(cmd)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	go func() { // ends with the process, which stop and leave wait for
		defer close(p.exited)
		_ = cmd.Wait()
	}()
	return p, nil
}

func (p *process) group() int { return p.cmd.Process.Pid }

// stop ends the whole group. A measurement has nothing to drain.
func (p *process) stop() {
	_ = syscall.Kill(-p.group(), syscall.SIGKILL)
	<-p.exited
}

// said is the end of what the process printed, for an error message.
func (p *process) said() string {
	text, err := os.ReadFile(p.log)
	if err != nil || len(text) == 0 {
		return "it printed nothing"
	}
	end := strings.TrimSpace(string(text[max(0, len(text)-600):]))
	return "it printed: " + strings.ReplaceAll(end, p.cmd.Dir, "DIR") // a result is no place for this machine's folders
}

// child is this program started again as origin or client, with pipes to talk through.
type child struct {
	*process
	in  io.WriteCloser
	out *bufio.Reader
}

func again(ctx context.Context, on, dir string, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{}
	var piped error
	c.process, err = start(ctx, on, dir, func(cmd *exec.Cmd) {
		cmd.Stdout = nil
		out, errOut := cmd.StdoutPipe()
		in, errIn := cmd.StdinPipe()
		c.in, c.out, piped = in, bufio.NewReader(out), errors.Join(errOut, errIn)
	}, append([]string{self}, args...)...)
	return c, errors.Join(err, piped)
}

// ports is one set of the origin's.
type ports struct{ http, echo, bulk, grpc int }

func startOrigin(ctx context.Context, on, dir string) (*child, []ports, error) {
	c, err := again(ctx, on, dir, "origin")
	if err != nil {
		return nil, nil, err
	}
	p := make([]ports, origin.Sets)
	for i := range p {
		if _, err := fmt.Fscan(c.out, &p[i].http, &p[i].echo, &p[i].bulk, &p[i].grpc); err != nil {
			c.stop()
			return nil, nil, fmt.Errorf("origin did not start: %w; %s", err, c.said())
		}
	}
	return c, p, nil
}

// startLoad returns once the client is connected and has warmed up.
func startLoad(ctx context.Context, on, dir string, cfg load.Config) (*child, error) {
	arg, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	c, err := again(ctx, on, dir, "load", string(arg))
	if err != nil {
		return nil, err
	}
	if line, err := c.out.ReadString('\n'); err != nil || line != "ready\n" {
		c.stop()
		return nil, fmt.Errorf("the client did not get ready (%q): %s", line, c.said())
	}
	return c, nil
}

// measure makes a client that is ready do its measured part.
func (c *child) measure() (r load.Result, err error) {
	if _, err := io.WriteString(c.in, "go\n"); err != nil {
		return r, err
	}
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return r, fmt.Errorf("no result of the client: %w; %s", err, c.said())
	}
	return r, json.Unmarshal(line, &r)
}

// leave lets the client close its connections and end.
func (c *child) leave() {
	_ = c.in.Close()
	select {
	case <-c.exited:
	case <-time.After(5 * time.Second):
		c.stop()
	}
}
