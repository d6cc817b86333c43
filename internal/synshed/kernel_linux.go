package synshed

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/internal/netstat"
)

var system = kernel{
	attach:      attach,
	detach:      detach,
	barrier:     barrier,
	acceptQueue: acceptQueue,
	handshakes:  handshakes,
	cookies:     CountCookies,
}

// dropSYN is a classic BPF program. On a TCP socket the packet begins at the TCP
// header, for IPv4 and IPv6 alike; byte 13 holds the flags. FIN, SYN, RST and ACK are
// looked at, so that a SYN with ECE and CWR (RFC 3168) or with data (fast open) counts
// as a SYN, and the ACK that completes a handshake never does.
var dropSYN = [...]unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0x17},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: 0x02},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
}

func attach(fd int) error {
	program := dropSYN
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if errors.Is(err, unix.EPERM) { // most kernels let anybody do it, some (seen: 6.18) do not
		return fmt.Errorf("%w (here it takes CAP_NET_ADMIN, and no filter of system calls against it)", os.NewSyscallError("setsockopt", err))
	}
	return os.NewSyscallError("setsockopt", err)
}

// Supported tries on a socket of its own whether this process may shed SYNs. The error
// says what it lacks.
func Supported() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := attach(fd); err != nil {
		return fmt.Errorf("attach the SYN filter: %w", err)
	}
	return nil
}

func detach(fd int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil // there was none
	}
	return os.NewSyscallError("setsockopt", err)
}

// barrier waits for an RCU grace period: that is what membarrier's global command does
// (membarrier(2)), on every kernel since 4.3 and without a privilege. With one CPU it
// returns at once, and then the processing of a packet cannot overlap with us either.
func barrier() error {
	const membarrierGlobal = 1
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// acceptQueue is the number of connections that wait to be accepted: for a listening
// socket the kernel reports it in tcpi_unacked.
func acceptQueue(fd int) (int, error) {
	state, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, os.NewSyscallError("getsockopt", err)
	}
	return int(state.Unacked), nil
}

// handshakes counts the handshakes under way (SYN_RECV) for the address of a listener.
func handshakes(fd int) (int, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	at, ok := endpointOf(sa)
	if !ok {
		return 0, errors.New("not an IP socket")
	}
	n, err := diagCount(at)
	if err != nil { // no netlink in this sandbox
		return procCount(at)
	}
	return n, nil
}

// OutQueue is the number of bytes that were sent on a TCP connection and not
// acknowledged yet, an unacknowledged FIN counting one (SIOCOUTQ).
func OutQueue(conn syscall.RawConn) (int, error) {
	n := 0
	var inner error
	err := conn.Control(func(fd uintptr) { n, inner = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	if err != nil {
		return 0, err
	}
	return n, os.NewSyscallError("ioctl", inner)
}

// Unread is the number of bytes that came on a TCP connection and were not read (SIOCINQ); 0
// if that is unknown.
func Unread(conn syscall.RawConn) (n int) {
	_ = conn.Control(func(fd uintptr) { // an error leaves 0
		if k, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ); err == nil {
			n = k
		}
	})
	return n
}

// Acked is the number of bytes that the peer has acknowledged since the connection began
// (tcpi_bytes_acked); -1: unknown.
func Acked(conn syscall.RawConn) int64 {
	n := int64(-1)
	_ = conn.Control(func(fd uintptr) { // an error leaves -1
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = int64(info.Bytes_acked)
		}
	})
	return n
}

// CountCookies counts the SYN cookies sent so far, for [Begin].
func CountCookies() Cookies {
	counters, err := netstat.Read()
	if err != nil {
		return Cookies{}
	}
	n, known := counters.Get("TcpExt", "SyncookiesSent")
	return Cookies{sent: n, known: known}
}
