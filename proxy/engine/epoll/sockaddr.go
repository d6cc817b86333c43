//go:build linux

package epoll

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// addrPort reads a kernel socket address; the zero AddrPort for a family that is not IP.
// An IPv4 address on a dual-stack socket comes out as IPv4.
func addrPort(sa *unix.RawSockaddrAny) netip.AddrPort {
	switch sa.Addr.Family {
	case unix.AF_INET:
		p := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(p.Addr), hostOrder(p.Port))
	case unix.AF_INET6:
		p := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		addr := netip.AddrFrom16(p.Addr).Unmap()
		if p.Scope_id != 0 && addr.Is6() {
			addr = addr.WithZone(strconv.FormatUint(uint64(p.Scope_id), 10))
		}
		return netip.AddrPortFrom(addr, hostOrder(p.Port))
	}
	return netip.AddrPort{}
}

// hostOrder turns a port from network order into the machine's, and back.
func hostOrder(port uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], port)
	return binary.BigEndian.Uint16(b[:])
}

// rawSockaddr writes the kernel's form of an address without a zone, and returns its
// family and size.
func rawSockaddr(sa *unix.RawSockaddrAny, ap netip.AddrPort) (family, size int) {
	if ap.Addr().Is4() {
		p := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		*p = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: hostOrder(ap.Port()), Addr: ap.Addr().As4()}
		return unix.AF_INET, unix.SizeofSockaddrInet4
	}
	p := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
	*p = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: hostOrder(ap.Port()), Addr: ap.Addr().As16()}
	return unix.AF_INET6, unix.SizeofSockaddrInet6
}

// localAddr is the address that a socket is bound to.
func localAddr(fd int) netip.AddrPort {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	if _, _, errno := syscall.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size))); errno != 0 {
		return netip.AddrPort{}
	}
	return addrPort(&sa)
}
