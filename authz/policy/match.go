package policy

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/authz"
)

// maxEmail is the longest address that is looked at (RFC 5321 section 4.5.3.1: 64 + @ + 255).
const maxEmail = 320

// eval asks the test. The reason is the criterion's, whatever the value.
func (t *test) eval(q *query) (value, reason) {
	if q.id == nil && t.criterion.needsIdentity() {
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
func (t *test) folded(s string) value {
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

func (t *test) within(r *authz.Request) value {
	addr := r.Source.Unmap()
	if !addr.IsValid() {
		return failed
	}
	return is(slices.ContainsFunc(t.set.nets, func(n netip.Prefix) bool { return n.Contains(addr) }))
}

// match matches one string. No conversion in it allocates: each is only compared,
// or only a key that is looked up.
func match[S string | []byte](t *test, s S) bool {
	switch t.matcher {
	case Is:
		return string(s) == t.value
	case IsNot:
		return string(s) != t.value
	case In:
		return has(t.set, s)
	case NotIn:
		return !has(t.set, s)
	case StartsWith:
		return len(s) >= len(t.value) && string(s[:len(t.value)]) == t.value
	case EndsWith:
		return len(s) >= len(t.value) && string(s[len(s)-len(t.value):]) == t.value
	case Contains:
		for ; len(s) >= len(t.value); s = s[1:] {
			if string(s[:len(t.value)]) == t.value {
				return true
			}
		}
	case None, Has, ListIs, Exclude, Within:
	}
	return false
}

// matchAny matches a list of strings.
func matchAny(t *test, list []string) bool {
	switch t.matcher {
	case Has:
		return slices.Contains(list, t.value)
	case ListIs:
		return len(list) == 1 && list[0] == t.value
	case Exclude:
		return !slices.Contains(list, t.value)
	case None, Is, IsNot, In, NotIn, Contains, StartsWith, EndsWith, Within:
	}
	return false
}

func has[S string | []byte](set *set, s S) bool {
	if set.index != nil {
		_, ok := set.index[string(s)]
		return ok
	}
	for _, v := range set.list {
		if string(s) == v {
			return true
		}
	}
	return false
}
