// Command trio is three servers of etcd as one store for tests of other modules, with the words of the store in memory that they
// use otherwise (internal/etcd/etcdtest): it prints its endpoints, and for each line of standard input, "down" or "up", kills all
// members as kill -9 does, or starts them again, and prints "ok". It ends with its input.
//
//	trio MEMBER    # the program of e2e/etcd/member
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: trio MEMBER")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "trio:", err)
		os.Exit(1)
	}
}

type member struct {
	args    []string
	process *exec.Cmd     // nil: it does not run
	out     io.ReadCloser // of process
}

func run(program string) (err error) {
	dir, err := os.MkdirTemp("", "trio-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var members []*member
	var cluster, endpoints []string
	ports, err := freePorts(6)
	if err != nil {
		return err
	}
	for i := range 3 {
		cluster = append(cluster, fmt.Sprintf("m%d=http://%s", i, ports[3+i]))
		endpoints = append(endpoints, ports[i])
	}
	for i := range 3 {
		peer := "http://" + ports[3+i]
		members = append(members, &member{args: []string{"-name", fmt.Sprint("m", i), "-dir", filepath.Join(dir, fmt.Sprint(i)),
			"-client", "http://" + ports[i], "-peer", peer, "-advertise", peer, "-cluster", strings.Join(cluster, ",")}})
	}
	defer down(members)
	if err := up(program, members); err != nil {
		return err
	}
	fmt.Println("endpoints", strings.Join(endpoints, ","))
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		switch word := lines.Text(); word {
		case "down":
			down(members)
		case "up":
			if err := up(program, members); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%q is neither down nor up", word)
		}
		fmt.Println("ok")
	}
	return nil
}

// freePorts are addresses of loopback that nobody has at this moment.
func freePorts(n int) (list []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // together, so that none is given twice
		list = append(list, l.Addr().String())
	}
	return list, nil
}

// up starts whoever does not run, and waits until all are ready.
func up(program string, members []*member) error {
	for _, m := range members {
		if m.process != nil {
			continue
		}
		cmd := exec.Command(program, m.args...)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			return err
		}
		m.process, m.out = cmd, out
	}
	for _, m := range members {
		if m.out == nil {
			continue
		}
		line, err := bufio.NewReader(m.out).ReadString('\n') // a member that is not ready ends by itself
		if line != "ready\n" {
			return fmt.Errorf("%s: %q, %v", m.args[1], line, err)
		}
		m.out = nil
	}
	return nil
}

func down(members []*member) {
	for _, m := range members {
		if m.process != nil {
			_ = m.process.Process.Kill()
			_ = m.process.Wait()
			m.process, m.out = nil, nil
		}
	}
}
