package issuer

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Why no key is found for a token, and why its form is refused.
var (
	ErrUnavailable = errors.New("the issuer's keys are not known") // whether the token is good cannot be known now
	ErrNoKey       = errors.New("no key of the issuer fits")
	ErrEncoding    = errors.New("it is written in another way than the one that there is")
	ErrCritical    = errors.New("the header has what must be understood, and is not")
	ErrType        = errors.New("it is another kind of token")
)

// MaxWaiting is how many tokens of an issuer wait for its keys at a time. Whoever can write a header makes tokens that do: they
// must not fill the places of all others.
const MaxWaiting = 32

// refetchWait is how long one token waits for keys to be fetched.
const refetchWait = 3 * time.Second

// Finder finds the keys that tokens of an issuer name.
type Finder struct {
	Keys    Keys
	waiting atomic.Int32 // tokens that wait for them
}

// Find finds the key that a token names; without a name there has to be one that fits. The error is ErrUnavailable or ErrNoKey.
func (f *Finder) Find(ctx context.Context, h jose.Header) (*KeySet, *jose.JSONWebKey, error) {
	set := f.Keys.Current()
	if set != nil {
		if k := set.Find(h.KeyID, h.Algorithm); k != nil {
			return set, k, nil
		}
	}
	defer f.waiting.Add(-1)
	if f.waiting.Add(1) > MaxWaiting {
		return nil, nil, ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(ctx, refetchWait)
	defer cancel()
	fresh := f.Keys.Refetch(ctx)
	now := f.Keys.Current()
	switch {
	case now == nil:
		return nil, nil, ErrUnavailable
	case now.Find(h.KeyID, h.Algorithm) != nil:
		return now, now.Find(h.KeyID, h.Algorithm), nil
	case !fresh:
		return nil, nil, ErrUnavailable // the issuer may have new ones, and does not say
	}
	return nil, nil, ErrNoKey
}

// Canonical reports whether each part of a token is base64url in its one form: a decoder may pass over bits that are
// left over, and then one token could be written in several ways.
func Canonical(token string) bool {
	for part := range strings.SplitSeq(token, ".") {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return false
		}
	}
	return true
}

// CheckHeader says what is wrong with a header whatever its algorithm: it has what must be understood, or says that the token
// is of another kind than types, which are lower case and without "application/" (RFC 8725 section 3.11). No type is any type.
func CheckHeader(h jose.Header, types ...string) error {
	if _, critical := h.ExtraHeaders["crit"]; critical {
		return ErrCritical
	}
	if _, encoded := h.ExtraHeaders["b64"]; encoded { // RFC 7797 section 7: not in a JWT
		return ErrCritical
	}
	typ, given := h.ExtraHeaders[jose.HeaderType]
	if !given {
		return nil
	}
	name, _ := typ.(string)
	if !slices.Contains(types, strings.TrimPrefix(strings.ToLower(name), "application/")) {
		return ErrType
	}
	return nil
}
