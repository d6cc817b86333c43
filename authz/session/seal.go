package session

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

// Purpose is what a value is sealed for: "session", "login". From a key of the ring another is derived for each, so that
// what was sealed for one purpose opens for no other. Purposes come from code, never from a request.
type Purpose string

// Why a value is not opened.
var (
	ErrNoKeys     = errors.New("session: no keys are loaded")
	ErrUnknownKey = errors.New("session: sealed by a key that is not in the ring")
	ErrNotSealed  = errors.New("session: not sealed by us for this purpose and host")
)

const (
	sealPrefix  = "v1."
	maxKeyName  = 16   // bytes
	maxSealed   = 4096 // bytes of a sealed value that is looked at
	sealedExtra = 12 + 16
)

// encoding is that of sealed values. Strict: no two texts are the same value.
var encoding = base64.RawURLEncoding.Strict()

// sealedLen is the length of the text of n sealed bytes, whatever key seals them, in bytes: at most that.
func sealedLen(n int) int {
	return len(sealPrefix) + maxKeyName + 1 + encoding.EncodedLen(n+sealedExtra)
}

// Seal appends what opens to plain for that purpose and host only: text of A-Z a-z 0-9 - _ and '.', fit for a cookie.
// The error is ErrNoKeys.
func (r *Ring) Seal(dst []byte, p Purpose, host string, plain []byte) ([]byte, error) {
	set := r.keys.Load()
	if set == nil {
		return nil, ErrNoKeys
	}
	k := set.keys[set.sealing(r.now())]
	var space [maxAdditional]byte
	// The nonce is of 96 random bits: good for 2^32 values of a key and purpose (NIST SP 800-38D section 8.3).
	sealed := k.aead(p).Seal(nil, nil, plain, additional(space[:0], p, host))
	dst = append(dst, sealPrefix...)
	dst = append(dst, k.name...)
	dst = append(dst, '.')
	return encoding.AppendEncode(dst, sealed), nil
}

// Open returns what was sealed for that purpose and host, and whether that was done by a key which is not the one that seals
// now: it is due to be sealed anew. The error is one of ErrNoKeys, ErrUnknownKey and ErrNotSealed.
func (r *Ring) Open(p Purpose, host string, value []byte) (plain []byte, old bool, err error) {
	set := r.keys.Load()
	if set == nil {
		return nil, false, ErrNoKeys
	}
	plain, key, err := set.open(p, host, value)
	return plain, err == nil && key != set.sealing(r.now()), err
}

// open returns what is sealed and the index of the key.
func (s *keySet) open(p Purpose, host string, value []byte) ([]byte, int, error) {
	rest, ours := bytes.CutPrefix(value, []byte(sealPrefix))
	name, text, cut := bytes.Cut(rest, []byte{'.'})
	// The decoder would skip line ends: those of a value that is not ours.
	if !ours || !cut || len(value) > maxSealed || bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0 {
		return nil, 0, ErrNotSealed
	}
	key := s.find(name)
	if key < 0 {
		return nil, 0, ErrUnknownKey
	}
	sealed, err := encoding.AppendDecode(make([]byte, 0, encoding.DecodedLen(len(text))), text)
	if err != nil {
		return nil, 0, ErrNotSealed
	}
	var space [maxAdditional]byte
	plain, err := s.keys[key].aead(p).Open(sealed[:0], nil, sealed, additional(space[:0], p, host))
	if err != nil {
		return nil, 0, ErrNotSealed
	}
	return plain, key, nil
}

const maxAdditional = 384 // bytes for which no memory is allocated

// additional is what is authenticated with a value. The length of the purpose keeps the two apart.
func additional(dst []byte, p Purpose, host string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(p)))
	dst = append(dst, p...)
	return append(dst, host...)
}

// aead returns the cipher of a purpose.
func (k *ringKey) aead(p Purpose) cipher.AEAD {
	k.mu.RLock()
	a := k.derived[p]
	k.mu.RUnlock()
	if a != nil {
		return a
	}
	secret, err := hkdf.Key(sha256.New, k.secret[:], nil, "sluice session keys v1: "+string(p), 32)
	if err != nil {
		panic(fmt.Sprintf("BUG: derive a key: %v", err)) // only of too long a key
	}
	block, err := aes.NewCipher(secret)
	if err == nil {
		a, err = cipher.NewGCMWithRandomNonce(block)
	}
	if err != nil {
		panic(fmt.Sprintf("BUG: make a cipher: %v", err)) // only of a key of another length
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.derived[p] = a
	return a
}
