package policy

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/authz"
)

// maxEmail is the longest address that is looked at (RFC 5321 section 4.5.3.1: 64 + @ + 255).
const maxEmail = 320

// arg is a test with what it compares with.
type arg struct {
	*test
	pool *pool
	word uint32
}

// eval asks the test. The reason is the criterion's, whatever the value.
func (t arg) eval(q *query) (value, reason) {
	if q.id == nil && t.criterion.needsIdentity() {
		return unknown, rUnauthenticated
	}
	if q.req.Certificate == nil && t.criterion == ClientCertificate {
		return unknown, rUnauthenticated
	}
	switch t.criterion {
	case Accept:
		return yes, rReject
	case Reject:
		return no, rReject
	case AuthenticatedUser:
		return yes, rAuthenticated
	case Email:
		return t.folded(q.id.Email), rEmail
	case Domain:
		return t.folded(domain(q.id.Email)), rDomain
	case User:
		return is(match(t, q.id.User)), rUser
	case Groups:
		return is(matchAny(t, q.id.Groups)), rGroups
	case Claim:
		return is(matchAny(t, q.id.Claims[t.claim])), rClaim
	case HTTPMethod:
		return is(match(t, q.req.Method)), rMethod
	case HTTPPath:
		return is(match(t, q.req.Path)), rPath
	case SourceIP:
		return t.within(q.req), rSourceIP
	case ClientCertificate:
		return t.certificate(q.req.Certificate), rCertificate
	case CORSPreflight:
		return is(q.req.Preflight), rCORSPreflight
	case CEL:
		return t.cel(q)
	case Date:
		return t.during(q.req), rDate
	case TimeOfDay:
		return t.during(q.req), rTimeOfDay
	case DayOfWeek:
		return t.during(q.req), rDayOfWeek
	}
	return failed, rError
}

// domain returns what follows the last @, or "" if there is none.
func domain(email string) string {
	at := strings.LastIndexByte(email, '@')
	if at < 0 {
		return ""
	}
	return email[at+1:]
}

func is(b bool) value {
	if b {
		return yes
	}
	return no
}

// folded matches an email address or domain without regard to the case of ASCII
// letters: a deny for bad@example.com is not avoided as Bad@example.com.
func (t arg) folded(s string) value {
	upper := false
	for i := range len(s) {
		upper = upper || 'A' <= s[i] && s[i] <= 'Z'
	}
	if !upper {
		return is(match(t, s))
	}
	if len(s) > maxEmail {
		return failed
	}
	var buf [maxEmail]byte
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	return is(match(t, buf[:len(s)]))
}

func (t arg) within(r *authz.Request) value {
	addr := r.Source.Unmap()
	if !addr.IsValid() {
		return failed
	}
	return is(slices.ContainsFunc(t.pool.nets[t.word], func(n netip.Prefix) bool { return n.Contains(addr) }))
}

func (t arg) during(r *authz.Request) value {
	return t.pool.windows[t.word].holds(t.criterion, r.Time)
}

// match matches one string. No conversion in it allocates: each is only compared,
// or only a key that is looked up.
func match[S string | []byte](t arg, s S) bool {
	switch t.matcher {
	case In:
		return has(t, s)
	case NotIn:
		return !has(t, s)
	case Is, IsNot, StartsWith, EndsWith, Contains:
		return compare(t.matcher, s, t.pool.value(t.word))
	case None, Has, ListIs, Exclude, Within, During:
	}
	return false
}

func compare[S string | []byte](m Matcher, s S, v []byte) bool {
	switch m {
	case Is:
		return string(s) == string(v)
	case IsNot:
		return string(s) != string(v)
	case StartsWith:
		return len(s) >= len(v) && string(s[:len(v)]) == string(v)
	case EndsWith:
		return len(s) >= len(v) && string(s[len(s)-len(v):]) == string(v)
	case Contains:
		for ; len(s) >= len(v); s = s[1:] {
			if string(s[:len(v)]) == string(v) {
				return true
			}
		}
	case None, In, NotIn, Has, ListIs, Exclude, Within, During:
	}
	return false
}

// matchAny matches a list of strings.
func matchAny(t arg, list []string) bool {
	v := t.pool.value(t.word)
	has := slices.ContainsFunc(list, func(s string) bool { return s == string(v) })
	switch t.matcher {
	case Has:
		return has
	case ListIs:
		return has && len(list) == 1
	case Exclude:
		return !has
	case None, Is, IsNot, In, NotIn, Contains, StartsWith, EndsWith, Within, During:
	}
	return false
}

func has[S string | []byte](t arg, s S) bool {
	if t.form == lookup {
		_, ok := t.pool.lookups[t.word][string(s)]
		return ok
	}
	for i := range t.pool.word(t.word, 0) {
		if string(s) == string(t.pool.value(t.pool.word(t.word, 1+i))) {
			return true
		}
	}
	return false
}
