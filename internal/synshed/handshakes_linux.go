package synshed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// endpointOf is the address of a listening socket, 4-in-6 unmapped.
func endpointOf(sa unix.Sockaddr) (netip.AddrPort, bool) {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), true
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port)), true
	}
	return netip.AddrPort{}, false
}

// covers reports whether a handshake at local may belong to a listener at l. Another
// listener of the same port may match too; then we wait for more than we have to.
func covers(l, local netip.AddrPort) bool {
	return l.Port() == local.Port() && (l.Addr().IsUnspecified() || l.Addr() == local.Addr().Unmap())
}

// Sizes and offsets of struct nlmsghdr, inet_diag_req_v2 and inet_diag_msg (linux/inet_diag.h).
const (
	nlHeader     = 16
	diagRequest  = 56
	diagFamily   = 0
	diagSource   = 4 // sport (2), dport (2), then source address (16)
	diagSockID   = 8 // in the request
	diagMessage  = 72
	stateSynRecv = 1<<3 | 1<<12 // TCP_SYN_RECV and TCP_NEW_SYN_RECV
)

// diagCount asks inet_diag for the sockets in SYN_RECV. A dual-stack listener has
// handshakes of both families.
func diagCount(l netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	// The kernel answers within the call; the timeout is there so that no surprise can hang a stop.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}); err != nil {
		return 0, os.NewSyscallError("setsockopt", err)
	}
	total := 0
	for _, family := range [...]uint8{unix.AF_INET, unix.AF_INET6} {
		n, err := diagDump(fd, family, l)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

func diagDump(fd int, family uint8, l netip.AddrPort) (int, error) {
	if err := unix.Sendto(fd, diagQuery(family, l.Port()), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, os.NewSyscallError("sendto", err)
	}
	total := 0
	buf := make([]byte, 32<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, os.NewSyscallError("recvfrom", err)
		}
		count, done, err := parseDiag(buf[:n], l)
		if err != nil {
			return 0, err
		}
		if total += count; done {
			return total, nil
		}
	}
}

// diagQuery asks for a dump of one family and local port.
func diagQuery(family uint8, port uint16) []byte {
	b := make([]byte, nlHeader+diagRequest)
	binary.NativeEndian.PutUint32(b[0:], uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	q := b[nlHeader:]
	q[diagFamily], q[1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(q[4:], stateSynRecv)
	binary.BigEndian.PutUint16(q[diagSockID:], port)
	return b
}

// parseDiag counts the messages in one datagram that belong to the listener; done at
// the end of the dump.
func parseDiag(b []byte, l netip.AddrPort) (count int, done bool, err error) {
	for len(b) >= nlHeader {
		size := int(binary.NativeEndian.Uint32(b))
		if size < nlHeader || size > len(b) {
			return 0, false, errors.New("inet_diag: truncated message")
		}
		body := b[nlHeader:size]
		switch binary.NativeEndian.Uint16(b[4:]) {
		case unix.NLMSG_DONE:
			return count, true, nil
		case unix.NLMSG_ERROR:
			if len(body) < 4 {
				return 0, false, errors.New("inet_diag: truncated error")
			}
			errno := unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
			return 0, false, fmt.Errorf("inet_diag: %w", errno)
		case unix.SOCK_DIAG_BY_FAMILY:
			if len(body) < diagMessage {
				return 0, false, errors.New("inet_diag: truncated socket")
			}
			if covers(l, diagLocal(body)) {
				count++
			}
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return count, false, nil
}

func diagLocal(body []byte) netip.AddrPort {
	port := binary.BigEndian.Uint16(body[diagSource:])
	source := body[diagSource+4:]
	if body[diagFamily] == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(source[:4])), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(source[:16])), port)
}

// procCount reads the same from /proc/net/tcp and tcp6.
func procCount(l netip.AddrPort) (int, error) {
	total := 0
	for _, name := range [...]string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) && name == "/proc/net/tcp6" {
			continue // IPv6 is switched off
		}
		if err != nil {
			return 0, err
		}
		total += countProc(string(text), l)
	}
	return total, nil
}

// countProc counts the lines in state 03 (SYN_RECV). Addresses there are hex words in
// the byte order of the machine.
func countProc(table string, l netip.AddrPort) int {
	n := 0
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 4 || f[3] != "03" {
			continue
		}
		if local, ok := parseProcAddr(f[1]); !ok || covers(l, local) {
			n++ // what cannot be read is counted: it is no proof of emptiness
		}
	}
	return n
}

func parseProcAddr(s string) (netip.AddrPort, bool) {
	words, portText, ok := strings.Cut(s, ":")
	if !ok || len(words) != 8 && len(words) != 32 {
		return netip.AddrPort{}, false
	}
	var addr []byte
	for ; words != ""; words = words[8:] {
		word, err := strconv.ParseUint(words[:8], 16, 32)
		if err != nil {
			return netip.AddrPort{}, false
		}
		addr = binary.NativeEndian.AppendUint32(addr, uint32(word))
	}
	port, err := strconv.ParseUint(portText, 16, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	ip, ok := netip.AddrFromSlice(addr)
	return netip.AddrPortFrom(ip, uint16(port)), ok
}
