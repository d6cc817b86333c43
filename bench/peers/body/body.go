// Package body is what the bodies of a run consist of: 16 hexadecimal digits that name
// the request, then a fixed pseudo-random pattern. Whoever receives a body compares every
// byte of it. So a byte lost, doubled or changed shows, and so does an answer that belongs
// to another request.
//
//	p := body.Pattern()
//	sum := body.Sum(p, id, 1024) // SHA-256 of the whole body
//	ok := body.Equal(p, chunk, offset, id)
//
// Limits: no body is longer than Max.
package body

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
)

const (
	IDLen = 16      // digits that name the request, at the start of a body
	Max   = 1 << 20 // bytes of the longest body, and the period of a bulk stream
)

// ID is the name of a request in hexadecimal digits.
type ID [IDLen]byte

// NewID writes n as an ID.
func NewID(n uint64) (id ID) {
	const digits = "0123456789abcdef"
	for i := IDLen - 1; i >= 0; i-- {
		id[i] = digits[n&15]
		n >>= 4
	}
	return id
}

// Pattern is the Max bytes that every process of a run makes for itself.
func Pattern() []byte {
	p := make([]byte, Max)
	seed := [32]byte{'s', 'l', 'u', 'i', 'c', 'e'}
	_, _ = rand.NewChaCha8(seed).Read(p) // never fails
	return p
}

// Equal reports whether chunk is what a body of that ID holds from offset on. It must not
// reach beyond Max.
func Equal(pattern, chunk []byte, offset int, id *ID) bool {
	if offset < IDLen {
		n := min(len(chunk), IDLen-offset)
		if !bytes.Equal(chunk[:n], id[offset:offset+n]) {
			return false
		}
		chunk, offset = chunk[n:], offset+n
	}
	return bytes.Equal(chunk, pattern[offset:offset+len(chunk)])
}

// EqualStream reports whether chunk is what an endless repetition of the pattern holds
// from offset on.
func EqualStream(pattern, chunk []byte, offset int64) bool {
	for len(chunk) > 0 {
		at := int(offset % Max)
		n := min(len(chunk), Max-at)
		if !bytes.Equal(chunk[:n], pattern[at:at+n]) {
			return false
		}
		chunk, offset = chunk[n:], offset+int64(n)
	}
	return true
}

// Sum is the SHA-256 sum of a whole body of n bytes.
func Sum(pattern []byte, id ID, n int) [sha256.Size]byte {
	h := sha256.New()
	h.Write(id[:min(n, IDLen)])
	if n > IDLen {
		h.Write(pattern[IDLen:n])
	}
	return [sha256.Size]byte(h.Sum(nil))
}
