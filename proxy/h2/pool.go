package h2

import (
	"encoding/binary"
	"math/bits"
)

// Pool is memory that connections of one loop share: streams, buffers, scratch and the strings of repeated
// fields. With it an idle connection holds next to nothing. The zero value is ready. It is not safe for
// concurrent use, and must not be copied.
type Pool struct {
	streams []*Stream
	chunk   *chunk // free ones, linked
	chunks  int
	buffers [][]byte
	scratch *fieldList
	words   *words
}

// Bounds of what is kept.
const (
	keepStreams = 512
	keepChunks  = 256 // 1 MiB
	keepBuffers = 32
	keepBuffer  = 32 << 10 // bytes of one
)

func (p *Pool) stream() *Stream {
	if n := len(p.streams); n > 0 {
		s := p.streams[n-1]
		p.streams = p.streams[:n-1]
		return s
	}
	return &Stream{}
}

func (p *Pool) putStream(s *Stream) {
	s.queue.clear(p)
	trailers := s.trailers
	trailers.clear()
	*s = Stream{trailers: trailers}
	if len(p.streams) < keepStreams {
		p.streams = append(p.streams, s)
	}
}

// buffer returns an empty buffer.
func (p *Pool) buffer() []byte {
	if n := len(p.buffers); n > 0 {
		b := p.buffers[n-1]
		p.buffers[n-1] = nil
		p.buffers = p.buffers[:n-1]
		return b
	}
	return make([]byte, 0, 1024)
}

func (p *Pool) putBuffer(b []byte) {
	if cap(b) > 0 && cap(b) <= keepBuffer && len(p.buffers) < keepBuffers {
		p.buffers = append(p.buffers, b[:0])
	}
}

// fields lends the scratch of a header list. It is made anew only if a list is decoded within an event
// of another connection's.
func (p *Pool) fields() *fieldList {
	l := p.scratch
	p.scratch = nil
	if l == nil {
		l = &fieldList{}
	}
	l.reset()
	return l
}

func (p *Pool) putFields(l *fieldList) {
	if cap(l.buf) <= keepBuffer {
		p.scratch = l
	}
}

// words is a bounded table of strings: the encoder needs strings and gets bytes, mostly the same ones. It is
// 4-way associative; who finds no room takes the place of one of four.
type words struct {
	turn uint8
	sets [wordSets][4]word
}

const (
	wordSets = 128
	maxWord  = 256 // bytes of a string that is kept
)

type word struct {
	hash uint64
	s    string
}

func (p *Pool) vocabulary() *words {
	if p.words == nil {
		p.words = &words{}
	}
	return p.words
}

// hash spreads b over 64 bits, the same in every process: what a connection sends is a function of what it is told. Who makes
// values that collide makes them compress less, and takes nothing from anybody: the tables are bounded.
func hash(b []byte) uint64 {
	h := uint64(len(b)) * mix
	for ; len(b) >= 8; b = b[8:] {
		h = bits.RotateLeft64((h^binary.LittleEndian.Uint64(b))*mix, 29)
	}
	var rest uint64
	for i, c := range b {
		rest |= uint64(c) << (8 * i)
	}
	h = bits.RotateLeft64((h^rest)*mix, 29) * mix
	return h ^ h>>32
}

const mix = 0x9e3779b97f4a7c15 // 2^64 over the golden ratio

// get returns b as a string, made only if it is not known.
func (w *words) get(hash uint64, b []byte) string {
	set := &w.sets[hash%wordSets]
	for i := range set {
		if set[i].hash == hash && set[i].s == string(b) {
			return set[i].s
		}
	}
	w.turn++
	at := &set[w.turn&3]
	*at = word{hash, string(b)}
	return at.s
}
