package session

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// CookiePrefix begins the name of each cookie of ours. A browser takes a cookie with the prefix __Host- from us alone, over
// TLS, for this host and all of its paths (RFC 6265bis section 4.1.3.2).
const CookiePrefix = "__Host-sluice_"

// CookieName is that of the session of a provider ("oidc", "oidc/corp").
func CookieName(provider string) string {
	return CookiePrefix + strings.ReplaceAll(provider, "/", "_")
}

const (
	cookieFlags  = "; Path=/; Secure; HttpOnly; SameSite=Lax"
	cookieMaxAge = "; Max-Age="
	// maxCookie bounds a Set-Cookie field value, in bytes: browsers take 4096 of name and value, and some count attributes.
	maxCookie = 4095
	maxDigits = 10 // of Max-Age
	maxNamed  = 4  // cookies of our name in a request that are looked at
)

// cookieSize is the length of a Set-Cookie field value with n bytes of claims: at most that, whatever key seals it and however
// long it is good.
func cookieSize(name string, n int) int {
	return len(name) + 1 + sealedLen(n) + len(cookieMaxAge) + maxDigits + len(cookieFlags)
}

// appendCookie appends what follows the value.
func appendFlags(dst []byte, age time.Duration) []byte {
	dst = append(dst, cookieMaxAge...)
	dst = strconv.AppendInt(dst, int64(max(0, age)/time.Second), 10)
	return append(dst, cookieFlags...)
}

// nextCookie returns the value of the first cookie of a name in a Cookie field and what follows it (RFC 6265 section 5.4);
// found says whether there is one. Names are compared byte by byte, and nothing but space and tab stands around a cookie: to
// a browser a name with another kind of space before it has no prefix, so that another host of the domain may set it.
func nextCookie(line []byte, name string) (value, rest []byte, found bool) {
	for len(line) > 0 {
		var pair []byte
		pair, line, _ = bytes.Cut(line, []byte{';'})
		pair = bytes.Trim(pair, " \t")
		if len(pair) > len(name) && pair[len(name)] == '=' && string(pair[:len(name)]) == name {
			return pair[len(name)+1:], line, true
		}
	}
	return nil, nil, false
}
