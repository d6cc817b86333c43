package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// Claims is what a session cookie holds: who logged in, and when. Times are kept to the millisecond.
type Claims struct {
	ID       string // of this login; Begin makes it
	Provider string // name of the authenticator: "oidc", "oidc/corp"
	Issuer   string
	Subject  string
	Upstream string // as of authz.Session

	User   string // as of authz.Identity; never empty
	Email  string
	Groups []string
	Claims map[string][]string

	Began   time.Time // the login
	Seen    time.Time // when the cookie was sealed: the idle time counts from here
	Expires time.Time // the absolute end
}

// TooLarge says that a session does not fit into a cookie, and why.
type TooLarge struct {
	Size, Limit int    // of the whole Set-Cookie field value, in bytes
	What        string // what takes most of it: "groups", "claims", or "names" (of the user, the issuer)
	Bytes       int    // that this takes, as sealed text
	Count       int    // of groups or claims
}

func (e *TooLarge) Error() string {
	return fmt.Sprintf("session: %d bytes do not fit into a cookie of at most %d: %s (%d) take %d of them; have the provider send fewer, or take fewer over",
		e.Size, e.Limit, e.What, e.Count, e.Bytes)
}

const (
	claimsVersion = 1
	userIsSubject = 1 // bit of the flags
	maxPlain      = 4096
)

// encode appends the claims, the provider excepted: that is what they are sealed for. The form is canonical.
func (c *Claims) encode(dst []byte) []byte {
	flags := byte(0)
	if c.User == c.Subject {
		flags = userIsSubject
	}
	dst = append(dst, claimsVersion, flags)
	for _, t := range [...]time.Time{c.Began, c.Seen, c.Expires} {
		dst = binary.AppendUvarint(dst, uint64(max(0, t.UnixMilli())))
	}
	dst = appendText(dst, c.ID, c.Issuer, c.Subject, c.Upstream, c.Email)
	if flags == 0 {
		dst = appendText(dst, c.User)
	}
	dst = appendList(dst, c.Groups)
	dst = binary.AppendUvarint(dst, uint64(len(c.Claims)))
	for _, name := range slices.Sorted(maps.Keys(c.Claims)) {
		dst = appendList(appendText(dst, name), c.Claims[name])
	}
	return dst
}

func appendText(dst []byte, texts ...string) []byte {
	for _, s := range texts {
		dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
	return dst
}

func appendList(dst []byte, list []string) []byte {
	return appendText(binary.AppendUvarint(dst, uint64(len(list))), list...)
}

var errClaims = errors.New("session: claims of a form that is not ours")

// decode reads what encode wrote, and nothing else: what it takes is what encode makes of it.
func (c *Claims) decode(b []byte) error {
	if len(b) < 2 || len(b) > maxPlain || b[0] != claimsVersion || b[1]&^userIsSubject != 0 {
		return errClaims
	}
	r := reader{rest: string(b[2:])} // whose parts the claims are: one piece of memory
	*c = Claims{Began: r.time(), Seen: r.time(), Expires: r.time(),
		ID: r.text(), Issuer: r.text(), Subject: r.text(), Upstream: r.text(), Email: r.text()}
	if c.User = c.Subject; b[1] == 0 {
		c.User = r.text()
		r.bad = r.bad || c.User == c.Subject
	}
	c.Groups = r.list()
	if n := r.count(); n > 0 {
		c.Claims = make(map[string][]string, n)
		last := ""
		for i := range n {
			name := r.text()
			if r.bad = r.bad || i > 0 && name <= last; r.bad {
				break
			}
			c.Claims[name], last = r.list(), name
		}
	}
	if r.bad || len(r.rest) > 0 {
		return errClaims
	}
	return nil
}

// reader takes apart what is left. After a fault it yields zeros.
type reader struct {
	rest string
	bad  bool
}

func (r *reader) number() uint64 {
	var v uint64
	for i := range min(len(r.rest), 9) { // 63 bits: enough for all we write
		c := r.rest[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if i > 0 && c == 0 {
				break // not the shortest form
			}
			r.rest = r.rest[i+1:]
			return v
		}
	}
	r.bad, r.rest = true, ""
	return 0
}

// count reads how many follow: each takes a byte at least.
func (r *reader) count() int {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, ""
		return 0
	}
	return int(n)
}

func (r *reader) text() string {
	n := r.count()
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) list() []string {
	n := r.count()
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = r.text()
	}
	return list
}

// maxMilli is the last millisecond of the year 9999.
const maxMilli = 253402300799999

func (r *reader) time() time.Time {
	ms := r.number()
	if ms > maxMilli {
		r.bad = true
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}

// session is the claims as those who end sessions see them. until is the end.
func (c *Claims) session(until time.Time) authz.Session {
	return authz.Session{ID: c.ID, Issuer: c.Issuer, Subject: c.Subject, Upstream: c.Upstream, Began: c.Began, Expires: until}
}

// tooLarge says what makes the claims as large as they are.
func (c *Claims) tooLarge(size, limit int) error {
	groups, claims := len(appendList(nil, c.Groups)), 0
	for name, values := range c.Claims {
		claims += len(appendList(appendText(nil, name), values))
	}
	e := &TooLarge{Size: size, Limit: limit, What: "groups", Bytes: groups, Count: len(c.Groups)}
	if claims > groups {
		e.What, e.Bytes, e.Count = "claims", claims, len(c.Claims)
	}
	if names := len(c.encode(nil)) - groups - claims; names > e.Bytes {
		e.What, e.Bytes, e.Count = "names", names, 6
	}
	e.Bytes = encoding.EncodedLen(e.Bytes)
	return e
}
