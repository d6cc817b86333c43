package oidc

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/session"
)

// attempt is what has to be remembered from when a person is sent to the provider until the callback.
type attempt struct {
	state, nonce [16]byte
	verifier     [32]byte // of PKCE
	began        time.Time
	provider     string // name of the authenticator
	to           string // the way back
}

const (
	attemptPrefix  = session.CookiePrefix + "login_"
	attemptPurpose = session.Purpose("login")
	attemptFor     = 10 * time.Minute
	attemptVersion = 1
	attemptFlags   = "; Path=/; Secure; HttpOnly; SameSite=Lax"

	maxAttempts    = 5       // that a browser has open
	maxAttemptSize = 6 << 10 // bytes of all their cookies, so that a request with them fits everywhere
	maxLooked      = 32      // cookies of attempts in a request that are looked at
)

var errAttempt = errors.New("oidc: an attempt of a form that is not ours")

func text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func newAttempt(provider, to string, now time.Time) *attempt {
	at := &attempt{began: now, provider: provider, to: to}
	for _, b := range [][]byte{at.state[:], at.nonce[:], at.verifier[:]} {
		_, _ = rand.Read(b) // never fails: crypto/rand
	}
	return at
}

// cookieName is that of the attempt with a state.
func cookieName(state string) string { return attemptPrefix + state[:8] }

func (at *attempt) encode() []byte {
	b := append([]byte{attemptVersion}, at.state[:]...)
	b = append(b, at.nonce[:]...)
	b = append(b, at.verifier[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(at.began.Unix()))
	b = append(b, byte(len(at.provider)))
	return append(append(b, at.provider...), at.to...)
}

func decodeAttempt(b []byte) (*attempt, error) {
	const fixed = 1 + 16 + 16 + 32 + 8 + 1
	if len(b) < fixed || b[0] != attemptVersion || len(b) < fixed+int(b[fixed-1]) {
		return nil, errAttempt
	}
	at := &attempt{}
	n := 1
	for _, part := range [][]byte{at.state[:], at.nonce[:], at.verifier[:]} {
		n += copy(part, b[n:])
	}
	at.began = time.Unix(int64(binary.BigEndian.Uint64(b[n:])), 0)
	at.provider, at.to = string(b[fixed:fixed+int(b[fixed-1])]), string(b[fixed+int(b[fixed-1]):])
	if !isBack(at.to) { // whoever sealed it
		return nil, errAttempt
	}
	return at, nil
}

// setCookie is the cookie that remembers the attempt, sealed for the host.
func (at *attempt) setCookie(ring *session.Ring, host string) (string, error) {
	value, err := ring.Seal(nil, attemptPurpose, host, at.encode())
	if err != nil {
		return "", err
	}
	return cookieName(text(at.state[:])) + "=" + string(value) + "; Max-Age=600" + attemptFlags, nil
}

// forget is a cookie that ends another of that name.
func forget(name string) string { return name + "=; Max-Age=0" + attemptFlags }

// found is the cookie of an attempt as a request brings it.
type found struct {
	name, value string
	at          *attempt // nil: it does not open
}

// attempts are those of a request, the oldest first, and before them what does not open.
func attempts(ring *session.Ring, r *authz.Request) (list []found) {
	if r.Fields == nil {
		return nil
	}
	line, n := r.Fields.Field("cookie")
	if n != 1 {
		return nil
	}
	for pair := range strings.SplitSeq(string(line), ";") {
		name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=") // not more: see session.nextCookie
		if !isAttemptName(name) || len(list) == maxLooked {
			continue
		}
		f := found{name: name, value: value}
		if plain, _, err := ring.Open(attemptPurpose, string(r.Host), []byte(value)); err == nil {
			if at, err := decodeAttempt(plain); err == nil && cookieName(text(at.state[:])) == name {
				f.at = at
			}
		}
		list = append(list, f)
	}
	slices.SortStableFunc(list, func(a, b found) int { return cmp.Compare(a.age(), b.age()) })
	return list
}

func (f found) age() int64 {
	if f.at == nil {
		return -1 << 62
	}
	return f.at.began.Unix()
}

func isAttemptName(name string) bool {
	id, ok := strings.CutPrefix(name, attemptPrefix)
	if !ok || len(id) != 8 {
		return false
	}
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// superfluous are the cookies that have to go so that there is room for one more of size bytes: what is over or does not
// open, and then the oldest.
func superfluous(list []found, size int, now time.Time) (names []string) {
	n, bytes := 1, size
	for _, f := range slices.Backward(list) {
		n, bytes = n+1, bytes+len(f.name)+len(f.value)
		if f.at == nil || now.Sub(f.at.began) >= attemptFor || n > maxAttempts || bytes > maxAttemptSize {
			names = append(names, f.name)
			n, bytes = n-1, bytes-len(f.name)-len(f.value)
		}
	}
	return names
}
