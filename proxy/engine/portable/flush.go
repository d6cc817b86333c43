package portable

import (
	"net"
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/internal/synshed"
)

// awaitFlushed waits until the peer acknowledged all that was sent, so that neither
// an exit nor the end of a network namespace can lose it. The kernel gives no
// notice of that moment, so it is asked, at growing intervals.
func awaitFlushed(nc net.Conn, limit time.Duration) {
	deadline := time.Now().Add(limit)
	for wait := 200 * time.Microsecond; outQueue(nc) > 0 && time.Now().Before(deadline); wait = min(2*wait, 20*time.Millisecond) {
		time.Sleep(wait)
	}
}

// outQueue is the number of bytes that the kernel still has to get acknowledged; 0
// where that cannot be known.
func outQueue(nc net.Conn) int64 {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0
	}
	n, err := synshed.OutQueue(raw)
	if err != nil {
		return 0
	}
	return int64(n)
}
