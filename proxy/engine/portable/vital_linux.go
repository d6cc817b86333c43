package portable

import (
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// maxProbes is the most that Linux allows: the kernel is never to give a connection up by
// itself, who asked decides.
const maxProbes = 127

// vital asks the kernel about the peer of a connection; with probe, the kernel asks a peer
// that says nothing from then on.
func vital(nc net.Conn, probe time.Duration) (v engine.Vital, ok bool) {
	raw := rawConn(nc)
	if raw == nil {
		return v, false
	}
	err := raw.Control(func(fd uintptr) {
		if probe > 0 {
			seconds := int(max(1, probe/time.Second))
			for _, o := range []struct{ level, name, value int }{
				{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds}, {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds},
				{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, maxProbes}, {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			} {
				_ = unix.SetsockoptInt(int(fd), o.level, o.name, o.value) // without them silence means less, and TCP_INFO still tells of what is acknowledged
			}
		}
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return
		}
		queue, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		if err != nil {
			return
		}
		heard := min(info.Last_ack_recv, info.Last_data_recv)
		v, ok = engine.Vital{Acked: int64(info.Bytes_acked), Pending: int64(queue), Heard: time.Duration(heard) * time.Millisecond}, true
	})
	return v, ok && err == nil
}
