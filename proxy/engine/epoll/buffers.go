//go:build linux

package epoll

// buffers keeps write buffers of two sizes for reuse: what waits for the end of a call is
// small, what waits for a slow peer is not. The zero value is empty. Owned by its loop.
type buffers struct {
	small, large [][]byte
}

const (
	smallBuffer = 4 << 10
	largeBuffer = 128 << 10
	keepSmall   = 256
	keepLarge   = 16
)

// get returns an empty buffer, with room for n bytes if it is kept.
func (p *buffers) get(n int) []byte {
	if n <= smallBuffer {
		return take(&p.small, smallBuffer)
	}
	return take(&p.large, largeBuffer)
}

func take(list *[][]byte, size int) []byte {
	if n := len(*list); n > 0 {
		b := (*list)[n-1]
		(*list)[n-1] = nil
		*list = (*list)[:n-1]
		return b
	}
	return make([]byte, 0, size)
}

// put takes a buffer back; what is of another size, or too many, goes to the collector.
func (p *buffers) put(b []byte) {
	switch {
	case cap(b) == smallBuffer && len(p.small) < keepSmall:
		p.small = append(p.small, b[:0])
	case cap(b) >= largeBuffer && cap(b) <= 2*largeBuffer && len(p.large) < keepLarge:
		p.large = append(p.large, b[:0])
	}
}
