package issuer

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// Keys is where the keys of an issuer come from.
type Keys interface {
	// Current returns the keys in force; nil: none are known yet. Another set is another pointer.
	Current() *KeySet
	// Refetch has the keys fetched again, unless that was done a moment ago, and waits for it. It reports
	// whether those in force are what the issuer has said lately.
	Refetch(ctx context.Context) (fresh bool)
}

// The limits of a key set.
const (
	maxKeySet = 1 << 20 // bytes
	maxKeys   = 100
)

// KeySet is an issuer's public keys (RFC 7517). Immutable.
type KeySet struct {
	keys []jose.JSONWebKey
	text string // of the document, to know another
}

// Text is the document that the keys are from.
func (s *KeySet) Text() string { return s.text }

// Len is the number of keys.
func (s *KeySet) Len() int { return len(s.keys) }

// ParseKeySet reads a JWK Set. Keys that are for something else, or of a kind that is not known, are
// passed over; a secret in it is an error, for it is not secret any more.
func ParseKeySet(src []byte) (*KeySet, error) {
	if len(src) > maxKeySet {
		return nil, fmt.Errorf("more than %d bytes", maxKeySet)
	}
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(src, &doc); err != nil {
		return nil, fmt.Errorf("not a JWK Set: %w", err)
	}
	if len(doc.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys; at most %d", len(doc.Keys), maxKeys)
	}
	set := &KeySet{text: string(src)}
	for i, raw := range doc.Keys {
		var k jose.JSONWebKey
		if err := json.Unmarshal(raw, &k); err != nil {
			continue // RFC 7517 section 5: what is not understood is passed over
		}
		if _, symmetric := k.Key.([]byte); symmetric || !k.IsPublic() {
			return nil, fmt.Errorf("keys[%d] holds a secret", i)
		}
		if k.Use != "" && k.Use != "sig" || !k.Valid() {
			continue
		}
		set.keys = append(set.keys, k)
	}
	if len(set.keys) == 0 {
		return nil, errors.New("no key for signatures in it")
	}
	return set, nil
}

// Find returns the key of that ID for that algorithm; without an ID the only one that fits. Nil: there is none.
func (s *KeySet) Find(id, alg string) *jose.JSONWebKey {
	var found *jose.JSONWebKey
	for i := range s.keys {
		k := &s.keys[i]
		if id != "" && k.KeyID != id || !fits(k, alg) {
			continue
		}
		if found != nil {
			return nil // nobody can say which is meant
		}
		found = k
	}
	return found
}

// fits says whether a key is for an algorithm: what it says itself, and its kind.
func fits(k *jose.JSONWebKey, alg string) bool {
	if k.Algorithm != "" && k.Algorithm != alg {
		return false
	}
	switch k.Key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey:
		return strings.HasPrefix(alg, "ES")
	case ed25519.PublicKey:
		return alg == string(jose.EdDSA)
	}
	return false
}
