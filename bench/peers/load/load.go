//go:build linux

package load

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/bench/peers/body"
)

// patience is how much longer than planned a phase may take before the load gives up.
const patience = time.Minute

// phase of a load. Edges: warming -> measuring or warming -> resting; measuring -> resting.
// While resting, no new request begins; what is in flight finishes.
type phase int

const (
	warming phase = iota
	measuring
	resting
)

// client owns everything; one goroutine on one thread.
type client struct {
	Config
	to      unix.SockaddrInet4
	epoll   int
	timer   int // timerfd of Paced, or -1
	phase   phase
	began   time.Time // of the phase
	until   time.Time
	now     time.Time // of this batch of events
	conns   []*conn   // by descriptor
	free    []*conn   // Paced: ready for the next request, first in first out
	making  int       // connections that connect
	busy    int       // connections with something in flight, those included
	pending int       // connections still to make
	issued  int64     // Paced: requests begun in this phase
	nextID  uint64
	source  byte // last byte of the next source address
	scratch []byte
	compose []byte
	pattern []byte
	hist    *histogram
	result  Result
}

// Run does what the package comment says. The error is about the load itself; what went
// wrong between client and proxy is in the Result.
func Run(cfg Config, in io.Reader, out io.Writer) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if cfg.Wire != Plain && cfg.Wire != TLS && cfg.Wire != WebSocket {
		lines := bufio.NewReader(in)
		return runWire(cfg, lines, out, func() error { _, err := lines.ReadString('\n'); return err })
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c, err := newClient(cfg)
	if err != nil {
		return err
	}
	defer c.close()
	lines := bufio.NewReader(in)
	if err := c.warmUp(); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return err
	}
	if _, err := lines.ReadString('\n'); err != nil {
		return nil // nobody wants a result
	}
	if err := c.measure(); err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(c.result); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, lines)
	return nil
}

func newClient(cfg Config) (*client, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	ap := netip.MustParseAddrPort(cfg.Addr)
	return &client{Config: cfg, epoll: ep, timer: -1, pending: cfg.Conns, hist: &histogram{}, pattern: body.Pattern(),
		to:     unix.SockaddrInet4{Addr: ap.Addr().As4(), Port: int(ap.Port())},
		nextID: rand.Uint64(), scratch: make([]byte, 256<<10)}, nil
}

func (c *client) close() {
	for _, k := range c.conns {
		if k != nil {
			_ = unix.Close(k.fd)
		}
	}
	if c.timer >= 0 {
		_ = unix.Close(c.timer)
	}
	_ = unix.Close(c.epoll)
}

// warmUp makes the connections, sends one request over each and goes on for Warm.
func (c *client) warmUp() error {
	c.enter(warming, c.Warm)
	return c.loop(c.rest)
}

// measure runs the part that counts. What warmed up badly counts as well.
func (c *client) measure() error {
	errors, mismatches, failure := c.result.Errors, c.result.Mismatches, c.result.Failure
	c.result = Result{Errors: errors, Mismatches: mismatches, Failure: failure}
	c.hist = &histogram{}
	cpu := ownCPU()
	c.enter(measuring, c.Duration)
	begun := c.began
	if c.Mode == Paced {
		if err := c.startTimer(); err != nil {
			return err
		}
	}
	if c.Mode != Idle {
		c.fill()
		if err := c.loop(c.rest); err != nil {
			return err
		}
	}
	r := &c.result
	r.Elapsed, r.CPU = time.Since(begun), ownCPU()-cpu
	r.P50, r.P99, r.P999, r.Max = c.hist.quantile(.5), c.hist.quantile(.99), c.hist.quantile(.999), c.hist.max
	return nil
}

func (c *client) enter(p phase, d time.Duration) {
	c.now = time.Now()
	c.phase, c.began, c.until, c.issued = p, c.now, c.now.Add(d), 0
}

// rest ends a phase whose time is up, and reports that nothing is in flight any more.
func (c *client) rest() (done bool) {
	if c.phase != resting && c.pending == 0 && !c.now.Before(c.until) && (c.Mode != Paced || c.phase == warming || c.issued >= c.due()) {
		c.phase = resting
	}
	return c.phase == resting && c.busy == 0
}

// loop handles events until done.
func (c *client) loop(done func() bool) error {
	events := make([]unix.EpollEvent, 256)
	for {
		c.dialSome()
		if done() {
			return nil
		}
		n, err := unix.EpollWait(c.epoll, events, 20)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		c.now = time.Now()
		for _, ev := range events[:max(n, 0)] {
			if int(ev.Fd) == c.timer {
				c.tick()
			} else if k := c.conns[ev.Fd]; k != nil {
				c.handle(k)
			}
		}
		if c.now.After(c.until.Add(patience)) {
			return fmt.Errorf("load: not done %v after the end, with %d requests in flight and %d connections to make (first failure: %q)",
				patience, c.busy, c.pending, c.result.Failure)
		}
		if c.result.Errors > int64(c.Conns)+1000 {
			return fmt.Errorf("load: too many errors, the first: %s", c.result.Failure)
		}
	}
}

func ownCPU() time.Duration {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}
