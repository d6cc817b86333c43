package synshed

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCookiesAreCounted(t *testing.T) {
	if got := CountCookies(); !got.known {
		t.Error("this kernel's own table is not understood")
	}
}

func TestCountProc(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the fixture is little-endian")
	}
	const table = `  sl  local_address rem_address   st tx_queue rx_queue
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000
   1: 0100007F:1F90 0100007F:A001 03 00000000:00000000
   2: 0200007F:1F90 0100007F:A002 03 00000000:00000000
   3: 0100007F:1F91 0100007F:A003 03 00000000:00000000
   4: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:A004 03 0:0
   5: 00000000000000000000000001000000:1F90 00000000000000000000000001000000:A005 03 0:0
   6: 0100007F:1F90 0100007F:A006 01 00000000:00000000
`
	for listener, want := range map[string]int{
		"127.0.0.1:8080": 2, "127.0.0.2:8080": 1, "0.0.0.0:8080": 4, "[::]:8080": 4, "[::1]:8080": 1,
		"127.0.0.1:8081": 1, "127.0.0.1:80": 0,
	} {
		if got := countProc(table, netip.MustParseAddrPort(listener)); got != want {
			t.Errorf("%s: %d, want %d", listener, got, want)
		}
	}
	if got := countProc("0: junk 0:0 03\n1: 0100007X:1F90 0:0 03\n2: 0100007F:ZZZZ 0:0 03\n", netip.MustParseAddrPort("127.0.0.1:8080")); got != 3 {
		t.Errorf("unreadable lines: %d, want all 3 counted", got)
	}
}

// message makes one netlink message.
func message(kind uint16, body []byte) []byte {
	b := make([]byte, nlHeader, nlHeader+len(body))
	binary.NativeEndian.PutUint32(b, uint32(nlHeader+len(body)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	return append(b, body...)
}

func TestParseDiag(t *testing.T) {
	l := netip.MustParseAddrPort("127.0.0.1:8080")
	socket := make([]byte, diagMessage)
	socket[diagFamily] = unix.AF_INET
	binary.BigEndian.PutUint16(socket[diagSource:], 8080)
	copy(socket[diagSource+4:], []byte{127, 0, 0, 1})
	one, done := message(unix.SOCK_DIAG_BY_FAMILY, socket), message(unix.NLMSG_DONE, make([]byte, 4))
	other := message(unix.SOCK_DIAG_BY_FAMILY, append([]byte{unix.AF_INET6}, socket[1:]...))
	refused := binary.NativeEndian.AppendUint32(nil, ^uint32(unix.EPERM)+1)
	for _, c := range []struct {
		name   string
		in     []byte
		count  int
		done   bool
		failed bool
	}{
		{"two and the end", append(append(append([]byte{}, one...), one...), done...), 2, true, false},
		{"more to come", one, 1, false, false},
		{"another address", append(append([]byte{}, other...), done...), 0, true, false},
		{"nothing", nil, 0, false, false},
		{"refused", message(unix.NLMSG_ERROR, refused), 0, false, true},
		{"short error", message(unix.NLMSG_ERROR, nil), 0, false, true},
		{"short socket", message(unix.SOCK_DIAG_BY_FAMILY, socket[:40]), 0, false, true},
		{"short message", one[:50], 0, false, true},
		{"length of nothing", make([]byte, 64), 0, false, true},
	} {
		count, done, err := parseDiag(c.in, l)
		if count != c.count || done != c.done || (err != nil) != c.failed {
			t.Errorf("%s: %d %v %v", c.name, count, done, err)
		}
	}
}
