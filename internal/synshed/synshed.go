package synshed

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"time"
)

// MaxWait bounds [Shed.WaitEmpty]: a client that vanished within its handshake would
// hold it for a minute.
const MaxWait = 200 * time.Millisecond

// Result is the account of a close.
type Result struct {
	Proven  bool   // no handshake was reset
	Reason  string // why that is not proven; empty if it is
	Residue int    // handshakes and unaccepted connections left at the end, as far as visible
}

// Cookies is a count of the SYN cookies that the network namespace has sent. The zero
// value is unknown.
type Cookies struct {
	sent  uint64
	known bool
}

// Shed is a listening socket that drops SYNs. It does not own the socket.
type Shed struct {
	raw     syscall.RawConn
	kernel  kernel
	cookies Cookies
	unsure  string // why nothing can be proven, whatever is seen
}

// kernel is what Shed asks of the system: the seam for tests.
type kernel struct {
	attach      func(fd int) error
	detach      func(fd int) error
	barrier     func() error
	acceptQueue func(fd int) (int, error)
	handshakes  func(fd int) (int, error)
	cookies     func() Cookies
}

// Begin makes a listening socket drop SYNs. before is a [CountCookies] of some seconds
// ago: a handshake by SYN cookie leaves no trace in the kernel until it is over, so if
// one was sent since, nothing can be proven.
//
// On error nothing was changed. The common one is EOPNOTSUPP, from a multipath TCP
// socket, which net.Listen makes by default: see [Listen].
func Begin(ln syscall.Conn, before Cookies) (*Shed, error) {
	return begin(ln, before, system)
}

func begin(ln syscall.Conn, before Cookies, k kernel) (*Shed, error) {
	raw, err := ln.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("reach the listening socket: %w", err)
	}
	s := &Shed{raw: raw, kernel: k, cookies: before}
	if err := s.control(k.attach); err != nil {
		return nil, fmt.Errorf("attach the SYN filter: %w", err)
	}
	return s, nil
}

// WaitEmpty waits until no handshake is under way and the accept queue is empty. It
// needs an accept loop running meanwhile. It gives up when ctx ends, and after [MaxWait].
//
// Proven is exact, not likely: SYN_RECV entries are counted after every SYN that had
// passed before the filter is through the stack, the queue after every handshake that
// had left SYN_RECV has reached the queue. An RCU grace period separates the steps.
func (s *Shed) WaitEmpty(ctx context.Context) Result {
	ctx, cancel := context.WithTimeout(ctx, MaxWait)
	defer cancel()
	s.gracePeriod()
	handshakes := s.await(ctx, s.kernel.handshakes)
	s.gracePeriod()
	queued := s.await(ctx, s.kernel.acceptQueue)
	r := Result{Residue: max(handshakes, 0) + max(queued, 0)}
	switch now := s.kernel.cookies(); {
	case s.unsure != "":
		r.Reason = s.unsure
	case handshakes < 0:
		r.Reason = "handshakes under way cannot be counted"
	case queued < 0:
		r.Reason = "the accept queue cannot be read"
	case r.Residue > 0:
		r.Reason = fmt.Sprintf("not empty within %s", MaxWait)
	case !now.known || !s.cookies.known:
		r.Reason = "SYN cookies cannot be counted"
	case now.sent != s.cookies.sent:
		r.Reason = "SYN cookies were sent: such handshakes are invisible"
	default:
		r.Proven = true
	}
	return r
}

// await asks for a count until it is 0; it returns the last one, -1 if it cannot be had.
//
// Polling is right here: the kernel gives no notice when a listener's last handshake
// ends (readiness says only that the queue is not empty, and the accept loop has that).
// It lasts a round trip at most, the interval starts at 100 us and doubles.
func (s *Shed) await(ctx context.Context, count func(fd int) (int, error)) int {
	const longest = 5 * time.Millisecond
	for wait := 100 * time.Microsecond; ; wait = min(2*wait, longest) {
		n := 0
		err := s.control(func(fd int) (err error) {
			n, err = count(fd)
			return err
		})
		if err != nil {
			return -1
		}
		if n == 0 || !sleep(ctx, wait) {
			return n
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// gracePeriod returns when every packet that was being processed when it was called
// has been: processing runs under RCU.
func (s *Shed) gracePeriod() {
	if err := s.kernel.barrier(); err != nil && s.unsure == "" {
		s.unsure = fmt.Sprintf("membarrier: %v", err)
	}
}

// Undo lets SYNs through again.
func (s *Shed) Undo() error {
	if err := s.control(s.kernel.detach); err != nil {
		return fmt.Errorf("detach the SYN filter: %w", err)
	}
	return nil
}

// control runs f on the descriptor while it cannot be closed.
func (s *Shed) control(f func(fd int) error) error {
	var inner error
	if err := s.raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// Detach takes any socket filter off a listening socket. Call it on every socket that
// another process made or used, before it is accepted from: its former owner may have
// died within a close of this kind.
func Detach(ln syscall.Conn) error {
	raw, err := ln.SyscallConn()
	if err != nil {
		return fmt.Errorf("reach the listening socket: %w", err)
	}
	return (&Shed{raw: raw, kernel: system}).Undo()
}

// Close sheds SYNs, waits until ln is empty and closes it. The accept loop must run
// meanwhile; it ends by the close, and is then joined by its owner. Where SYNs cannot
// be shed, ln is closed at a moment when it looks empty, or after MaxWait.
func Close(ctx context.Context, ln net.Listener, before Cookies) Result {
	return closeWith(ctx, ln, before, system)
}

func closeWith(ctx context.Context, ln net.Listener, before Cookies, k kernel) Result {
	defer ln.Close()
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return Result{Reason: fmt.Sprintf("%T is not a TCP listener", ln)}
	}
	return emptyWith(ctx, tcp, before, k)
}

// Empty is Close without the close, for whoever accepts from a TCP socket in its own way and
// closes it at once afterwards: SYNs stay shed.
func Empty(ctx context.Context, ln syscall.Conn, before Cookies) Result {
	return emptyWith(ctx, ln, before, system)
}

func emptyWith(ctx context.Context, ln syscall.Conn, before Cookies, k kernel) Result {
	s, err := begin(ln, before, k)
	if err == nil {
		return s.WaitEmpty(ctx)
	}
	raw, rawErr := ln.SyscallConn()
	if rawErr != nil {
		return Result{Reason: err.Error()}
	}
	return (&Shed{raw: raw, kernel: k, unsure: err.Error()}).WaitEmpty(ctx)
}

// Listen listens with what a close without loss needs: no multipath TCP, on which
// Linux allows no filter. Accepted connections have TCP keepalive at 60 s. An address
// without a host is dual-stack for network "tcp".
func Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: time.Minute}
	lc.SetMultipathTCP(false)
	return lc.Listen(ctx, network, addr)
}
