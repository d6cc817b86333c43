package h2

const chunkLen = 4<<10 - 24

// chunk is a piece of queued data.
type chunk struct {
	next *chunk
	r, w uint16
	b    [chunkLen]byte
}

// chunks is a queue of bytes. The zero value is empty.
type chunks struct {
	first, last *chunk
	n           int
}

// write copies b to the end.
func (q *chunks) write(p *Pool, b []byte) {
	q.n += len(b)
	for len(b) > 0 {
		if q.last == nil || q.last.w == chunkLen {
			k := p.takeChunk()
			if q.last == nil {
				q.first = k
			} else {
				q.last.next = k
			}
			q.last = k
		}
		n := copy(q.last.b[q.last.w:], b)
		q.last.w += uint16(n)
		b = b[n:]
	}
}

// read appends the first n bytes to dst and forgets them; there are as many.
func (q *chunks) read(p *Pool, dst []byte, n int) []byte {
	q.n -= n
	for n > 0 {
		k := q.first
		m := min(n, int(k.w-k.r))
		dst = append(dst, k.b[k.r:int(k.r)+m]...)
		k.r += uint16(m)
		n -= m
		if k.r == k.w {
			q.pop(p)
		}
	}
	return dst
}

func (q *chunks) pop(p *Pool) {
	k := q.first
	q.first = k.next
	if q.first == nil {
		q.last = nil
	}
	p.putChunk(k)
}

func (q *chunks) clear(p *Pool) {
	for q.first != nil {
		q.pop(p)
	}
	q.n = 0
}

func (p *Pool) takeChunk() *chunk {
	k := p.chunk
	if k == nil {
		return &chunk{}
	}
	p.chunk, k.next = k.next, nil
	p.chunks--
	return k
}

func (p *Pool) putChunk(k *chunk) {
	if p.chunks < keepChunks {
		k.next, k.r, k.w = p.chunk, 0, 0
		p.chunk = k
		p.chunks++
	}
}

// streamList is the round of the streams that have data to send and a window.
type streamList struct{ first, last *Stream }

func (l *streamList) push(s *Stream) {
	s.isReady, s.prev, s.next = true, l.last, nil
	if l.last == nil {
		l.first = s
	} else {
		l.last.next = s
	}
	l.last = s
}

func (l *streamList) remove(s *Stream) {
	if !s.isReady {
		return
	}
	if s.prev == nil {
		l.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		l.last = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.isReady, s.prev, s.next = false, nil, nil
}
