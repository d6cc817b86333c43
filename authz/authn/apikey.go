package authn

import (
	"bytes"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// maxKey is the longest key that is looked at, in bytes.
const maxKey = 512

// APIKeyConfig says where the keys are. The zero values of all but File are defaults.
type APIKeyConfig struct {
	File        string
	LoadTimeout time.Duration    // how long Resolve waits for the first Load; default 2s
	Now         func() time.Time // default time.Now
}

// APIKeys authenticates by API key: "Authorization: Bearer <key>" or "X-Api-Key: <key>".
type APIKeys struct {
	config APIKeyConfig
	keys   atomic.Pointer[keySet] // nil before the first good Load
	failed atomic.Bool            // the last Load failed

	loading sync.Mutex // held during Load
	status  atomic.Pointer[Status]
	first   chan struct{} // closed by the first Load that ends, either way
	once    sync.Once     // guards the close
}

var _ authz.Authenticator = (*APIKeys)(nil)

// keySet is what a key file says, immutable.
type keySet struct {
	digest [sha256.Size]byte // of the file
	keys   map[[sha256.Size]byte]*key
}

type key struct {
	identity authz.Identity
	expires  time.Time // zero: never
}

// NewAPIKeys returns an authenticator that has no keys yet.
func NewAPIKeys(config APIKeyConfig) *APIKeys {
	if config.LoadTimeout == 0 {
		config.LoadTimeout = 2 * time.Second
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	a := &APIKeys{config: config, first: make(chan struct{})}
	a.status.Store(&Status{})
	return a
}

// Name returns "api_key".
func (a *APIKeys) Name() string { return "api_key" }

// ChallengeHeader returns the challenge of RFC 6750 section 3.
func (a *APIKeys) ChallengeHeader() string { return `Bearer realm="sluice"` }

// Fields returns the fields (lower case) that Try and Resolve look at: what a clone of
// the request must keep.
func (a *APIKeys) Fields() []string { return []string{"authorization", "x-api-key"} }

// Try answers from memory. It says Pending only before the first Load has ended, and
// Unavailable if that failed.
func (a *APIKeys) Try(req *authz.Request) (*authz.Identity, authz.Verdict) {
	presented, given := credential(req.Fields)
	switch {
	case given == absent:
		return nil, authz.Deny
	case given == malformed:
		return nil, authz.Challenge
	}
	set := a.keys.Load()
	if set == nil {
		if a.failed.Load() {
			return nil, authz.Unavailable
		}
		return nil, authz.Pending
	}
	k, ok := set.keys[sha256.Sum256(presented)]
	if !ok || !k.expires.IsZero() && !a.config.Now().Before(k.expires) {
		return nil, authz.Challenge
	}
	return &k.identity, authz.Allow
}

// Resolve waits for the first Load to end, at most LoadTimeout, and answers then.
func (a *APIKeys) Resolve(req *authz.Request) (*authz.Identity, authz.Verdict) {
	id, v := a.Try(req)
	if v != authz.Pending {
		return id, v
	}
	timeout := time.NewTimer(a.config.LoadTimeout)
	defer timeout.Stop()
	select {
	case <-a.first:
	case <-timeout.C:
	}
	if id, v = a.Try(req); v == authz.Pending {
		return nil, authz.Unavailable
	}
	return id, v
}

// presence says whether a request carries a key.
type presence uint8

const (
	absent presence = iota
	present
	malformed
)

// credential finds the key of a request. Whoever sends two different ones, or a field
// twice, is told so instead of being taken for either.
func credential(fields authz.Fields) ([]byte, presence) {
	if fields == nil {
		return nil, absent
	}
	header, headers := fields.Field("x-api-key")
	authorization, authorizations := fields.Field("authorization")
	if headers > 1 || authorizations > 1 {
		return nil, malformed
	}
	bearer, given := cutBearer(authorization)
	switch {
	case given == malformed:
		return nil, malformed
	case headers == 0 && given == absent:
		return nil, absent
	case headers == 1 && given == present && !bytes.Equal(header, bearer):
		return nil, malformed
	case headers == 0:
		header = bearer
	}
	if !isKey(header) {
		return nil, malformed
	}
	return header, present
}

// cutBearer returns the token of "Bearer <token>". Another scheme is for another
// authenticator.
func cutBearer(v []byte) ([]byte, presence) {
	const scheme = "bearer"
	v = bytes.TrimLeft(v, " \t")
	if len(v) < len(scheme) || !equalFold(v[:len(scheme)], scheme) {
		return nil, absent
	}
	v = v[len(scheme):]
	if len(v) > 0 && v[0] != ' ' && v[0] != '\t' {
		return nil, absent // "BearerX"
	}
	for len(v) > 0 && v[0] == ' ' {
		v = v[1:]
	}
	if len(v) == 0 {
		return nil, malformed
	}
	return v, present
}

func equalFold(b []byte, lower string) bool {
	for i := range len(lower) {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// isKey says whether b is one run of visible ASCII without the bytes that separate
// credentials in a list.
func isKey(b []byte) bool {
	if len(b) == 0 || len(b) > maxKey {
		return false
	}
	for _, c := range b {
		if c <= ' ' || c >= 0x7F || c == ',' || c == ';' || c == '"' {
			return false
		}
	}
	return true
}
