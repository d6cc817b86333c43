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
//
// It returns the error of a connection that broke meanwhile: there is nothing to wait
// for then. The shard is not held, nobody waits for this but the connection itself.
func awaitFlushed(nc net.Conn, limit time.Duration) error {
	const longest = 20 * time.Millisecond
	deadline := time.Now().Add(limit)
	for wait := 200 * time.Microsecond; outQueue(nc) > 0; wait = min(2*wait, longest) {
		if err := pendingError(nc); err != nil {
			return err
		}
		if !time.Now().Before(deadline) {
			return nil
		}
		time.Sleep(wait)
	}
	return nil
}

// outQueue is the number of bytes that the kernel still has to get acknowledged; 0
// where that cannot be known.
func outQueue(nc net.Conn) int64 {
	raw := rawConn(nc)
	if raw == nil {
		return 0
	}
	n, err := synshed.OutQueue(raw)
	if err != nil {
		return 0
	}
	return int64(n)
}

// unread is the number of bytes that came and were not read; 0 where that cannot be known.
func unread(nc net.Conn) int {
	raw := rawConn(nc)
	if raw == nil {
		return 0
	}
	return synshed.Unread(raw)
}

// rawConn is the descriptor of a connection; nil if it has none.
func rawConn(nc net.Conn) syscall.RawConn {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
