//go:build linux

package epoll

// buffers keeps write buffers of three sizes for reuse: what waits for the end of a call is small, or medium where many
// streams share a connection, and what waits for a slow peer is large. The zero value is empty. Owned by its loop.
type buffers struct {
	small, medium, large [][]byte
}

const (
	smallBuffer  = 4 << 10
	mediumBuffer = 32 << 10
	largeBuffer  = 128 << 10
	keepSmall    = 256
	keepMedium   = 32
	keepLarge    = 16
)

// get returns an empty buffer, with room for n bytes if it is kept.
func (p *buffers) get(n int) []byte {
	switch {
	case n <= smallBuffer:
		return take(&p.small, smallBuffer)
	case n <= mediumBuffer:
		return take(&p.medium, mediumBuffer)
	}
	return take(&p.large, largeBuffer)
}

// room returns b, or its content in the next larger buffer if n more bytes do not fit: growing by itself it would come
// to sizes that are not kept.
func (p *buffers) room(b []byte, n int) []byte {
	if n += len(b); n <= cap(b) || cap(b) >= largeBuffer || n > largeBuffer {
		return b
	}
	larger := append(p.get(n), b...)
	p.put(b)
	return larger
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
	case cap(b) == mediumBuffer && len(p.medium) < keepMedium:
		p.medium = append(p.medium, b[:0])
	case cap(b) >= largeBuffer && cap(b) <= 2*largeBuffer && len(p.large) < keepLarge:
		p.large = append(p.large, b[:0])
	}
}
