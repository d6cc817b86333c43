//go:build linux

package load

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// startTimer makes a timer tick whenever a request is due.
func (c *client) startTimer() error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("timerfd_create: %w", err)
	}
	c.timer = fd
	every := unix.NsecToTimespec(int64(c.interval()))
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		return fmt.Errorf("timerfd_settime: %w", err)
	}
	return unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (c *client) interval() time.Duration { return time.Second / time.Duration(c.Rate) }

// due is how many requests should have begun by now; it does not grow past the end.
func (c *client) due() int64 {
	at := c.now
	if at.After(c.until) {
		at = c.until
	}
	return int64(at.Sub(c.began)) / int64(c.interval())
}

// tick begins what is due on the connections that are free. What finds none stays due and
// begins when one gets free, with its latency counted from when it was due.
func (c *client) tick() {
	var b [8]byte
	_, _ = unix.Read(c.timer, b[:])
	if late := c.now.Sub(c.dueAt(c.issued)); len(c.free) > 0 && c.issued < c.due() {
		c.result.Late = max(c.result.Late, late)
	}
	c.beginDue()
}

func (c *client) dueAt(n int64) time.Time { return c.began.Add(time.Duration(n+1) * c.interval()) }

func (c *client) beginDue() {
	if c.phase != measuring {
		return
	}
	for due := c.due(); c.issued < due && len(c.free) > 0; {
		k := c.free[0]
		c.free = c.free[1:]
		at := c.dueAt(c.issued)
		c.issued++
		c.begin(k, at)
	}
}
