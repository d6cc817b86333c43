//go:build linux

package epoll

import "golang.org/x/sys/unix"

// maxPipes is how many pipes a loop has at most. A Move that finds none copies instead: a
// client that takes nothing may hold a pipe, and nobody else is to wait for it.
const maxPipes = 16

// pipeSize is what a pipe is asked to hold; an unprivileged process that has many may get less.
const pipeSize = 1 << 20

// pipe is the kernel buffer that splice needs between two sockets.
type pipe struct{ r, w int }

// pipes is the stock of one loop. The zero value is empty.
type pipes struct {
	idle []*pipe
	out  int // taken
}

// take returns an empty pipe, or nil: there are too many already, or no descriptor is left.
func (p *pipes) take() *pipe {
	if n := len(p.idle); n > 0 {
		q := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.out++
		return q
	}
	if p.out >= maxPipes {
		return nil
	}
	var fd [2]int
	if err := unix.Pipe2(fd[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil
	}
	// Refused or less: the default of 64 KiB does, too.
	_, _ = unix.FcntlInt(uintptr(fd[1]), unix.F_SETPIPE_SZ, pipeSize)
	p.out++
	return &pipe{r: fd[0], w: fd[1]}
}

// give takes a pipe back; one that still holds bytes is of no use to anybody else.
func (p *pipes) give(q *pipe, held int) {
	p.out--
	if held > 0 {
		q.close()
		return
	}
	p.idle = append(p.idle, q)
}

// release closes what is idle.
func (p *pipes) release() {
	for _, q := range p.idle {
		q.close()
	}
	p.idle = nil
}

func (q *pipe) close() {
	closeFD(q.r)
	closeFD(q.w)
}
