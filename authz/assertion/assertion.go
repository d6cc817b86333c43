package assertion

import (
	"crypto/rand"
	"encoding/base64"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/sluiceproxy/sluice/authz"
)

// The fields that carry assertions, and the paths at which their keys are.
const (
	Field         = "X-Sluice-Jwt-Assertion"
	PomeriumField = "X-Pomerium-Jwt-Assertion"
	Path          = "/.well-known/sluice/jwks.json"
	PomeriumPath  = "/.well-known/pomerium/jwks.json"
)

// Config of a Signer.
type Config struct {
	File string // of private keys in PEM, Ed25519 or P-256: the first signs, all are published
	// Lifetime of a token; 0 is 5 min. An upstream sees each at least half of that before it is over.
	Lifetime time.Duration
	// Pomerium publishes the keys at PomeriumPath as well.
	Pomerium bool
}

// Signer makes assertions. Until the first good Load it makes none. Safe for concurrent use.
type Signer struct {
	cfg     Config
	loading sync.Mutex // held by Load
	state   atomic.Pointer[state]
}

// state is what is in force: keys, and what they signed.
type state struct {
	*keys
	mu     sync.RWMutex // guards tokens
	tokens map[subject]token
}

// subject is who a token is about, and for whom.
type subject struct {
	id   *authz.Identity // immutable: the same one is the same user
	host string
}

type token struct {
	text  string
	until time.Time // signed anew from then on
}

// maxTokens bounds what is remembered.
const maxTokens = 4096

var _ authz.Site = (*Signer)(nil)

// New returns a signer that has no keys yet.
func New(cfg Config) *Signer {
	if cfg.Lifetime == 0 {
		cfg.Lifetime = 5 * time.Minute
	}
	return &Signer{cfg: cfg}
}

// Load reads the file. On an error the keys in force stay; changed says whether others are in force than before.
func (s *Signer) Load() (changed bool, err error) {
	s.loading.Lock()
	defer s.loading.Unlock()
	k, err := readKeys(s.cfg.File)
	if err != nil {
		return false, err
	}
	if old := s.state.Load(); old != nil && old.text == k.text {
		return false, nil
	}
	s.state.Store(&state{keys: k, tokens: map[subject]token{}})
	return true, nil
}

// Len is how many keys are in force.
func (s *Signer) Len() int {
	if st := s.state.Load(); st != nil {
		return st.count
	}
	return 0
}

// claims of an assertion. aud and iss are the host of the request, as Pomerium's are.
type claims struct {
	Issuer   string   `json:"iss"`
	Audience string   `json:"aud"`
	Subject  string   `json:"sub"`
	User     string   `json:"user"`
	Email    string   `json:"email,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	Method   string   `json:"auth_method"`
	Session  string   `json:"sid,omitempty"`
	ID       string   `json:"jti"`
	IssuedAt int64    `json:"iat"`
	Expires  int64    `json:"exp"`
}

// Assert returns the token that says to the upstream of a request for host (lower case, no port) who sent it; "": there is
// no key. It answers from memory and without allocating, unless the user is new to the host or half of the token's life is
// over: then it signs one, which takes some 50 µs.
func (s *Signer) Assert(id *authz.Identity, host []byte, now time.Time) string {
	st := s.state.Load()
	if st == nil {
		return ""
	}
	st.mu.RLock()
	t, found := st.tokens[subject{id, string(host)}]
	st.mu.RUnlock()
	if found && now.Before(t.until) {
		return t.text
	}
	text := st.sign(id, string(host), now, s.cfg.Lifetime)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.makeRoom(now)
	st.tokens[subject{id, string(host)}] = token{text, now.Add(s.cfg.Lifetime / 2)}
	return text
}

// makeRoom forgets, where there is none: of a few, taken by chance, those that are to be signed anew, else one.
func (st *state) makeRoom(now time.Time) {
	looks := 8
	for k, t := range st.tokens { // in an order by chance
		if len(st.tokens) < maxTokens {
			return
		}
		if looks--; looks == 0 || !now.Before(t.until) {
			delete(st.tokens, k)
		}
	}
}

func (st *state) sign(id *authz.Identity, host string, now time.Time, lifetime time.Duration) string {
	var jti [16]byte
	_, _ = rand.Read(jti[:]) // never fails
	c := claims{Issuer: host, Audience: host, Subject: id.User, User: id.User, Email: id.Email, Groups: id.Groups, Method: id.Method,
		ID: base64.RawURLEncoding.EncodeToString(jti[:]), IssuedAt: now.Unix(), Expires: now.Add(lifetime).Unix()}
	if id.Session != nil {
		c.Session = id.Session.ID
	}
	text, err := jwt.Signed(st.signer).Claims(c).Serialize()
	if err != nil {
		panic("BUG: an assertion cannot be signed: " + err.Error()) // keys were checked when they were read
	}
	return text
}

// Owns implements authz.Site.
func (s *Signer) Owns(path []byte) bool {
	return string(path) == Path || s.cfg.Pomerium && string(path) == PomeriumPath
}

// Serve implements authz.Site: it answers with the public keys.
func (s *Signer) Serve(r *authz.Request, _ []byte) authz.Answer {
	st := s.state.Load()
	switch {
	case r.Method != "GET" && r.Method != "HEAD":
		return authz.Answer{Status: 405, Reason: ReasonMethod, Fields: []authz.Field{{Name: "Allow", Value: "GET, HEAD"}}}
	case st == nil:
		return authz.Answer{Status: 503, Reason: ReasonNoKeys, Fields: []authz.Field{{Name: "Retry-After", Value: "1"}}}
	}
	return authz.Answer{Status: 200, Reason: ReasonKeys, Body: st.public,
		Fields: []authz.Field{{Name: "Content-Type", Value: "application/jwk-set+json"}, {Name: "Cache-Control", Value: "public, max-age=60"}}}
}

// The reasons of answers to requests for the keys.
const (
	ReasonKeys   = "own_page"
	ReasonNoKeys = "assertion_no_keys"
	ReasonMethod = "method"
)

// Reasons are those that no other package has: a closed set.
func Reasons() []string { return []string{ReasonKeys, ReasonNoKeys} }
