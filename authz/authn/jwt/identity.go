package jwt

import (
	"slices"
	"strings"
	"unicode"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/sluiceproxy/sluice/authz"
)

// The limits of what is taken from a token.
const (
	maxClaims = 256  // strings of all claims together
	maxGroups = 1000 // of one token; one with more is refused, since some of them might be denied something
	maxDepth  = 4    // of claims within claims
	maxUser   = 2048 // bytes of a user's ID
)

// registered are claims that say something of the token, and nothing of the user.
var registered = []string{"iss", "aud", "exp", "nbf", "iat", "jti"}

// identity makes an identity of the claims of a verified token.
func (is *issuer) identity(c *claims) (*authz.Identity, error) {
	user, _ := c.at(is.UserClaim).(string)
	if user == "" || len(user) > maxUser || !plain(user) {
		return nil, errUser
	}
	id := &authz.Identity{Method: "jwt", User: user}
	if email, ok := c.at(is.EmailClaim).(string); ok && plain(email) {
		id.Email = email
	}
	switch c.all["email_verified"] { // some write it as text
	case nil, true, "true":
	default:
		id.Email = ""
	}
	groups, ok := texts(c.at(is.GroupsClaim))
	if !ok || len(groups) > maxGroups {
		return nil, errClaims
	}
	id.Groups = groups
	id.Claims = map[string][]string{}
	left := maxClaims
	for name, v := range c.all {
		if name != is.GroupsClaim && !slices.Contains(registered, name) && !flatten(id.Claims, name, v, maxDepth, &left) {
			return nil, errClaims
		}
	}
	return id, nil
}

// at finds a claim by its name, or by a path of names with / between them.
func (c *claims) at(path string) any {
	if v, ok := c.all[path]; ok {
		return v
	}
	var v any = c.all
	for name := range strings.SplitSeq(path, "/") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

// texts reads a string or a list of strings. Nothing is an empty list.
func texts(v any) ([]string, bool) {
	switch v := v.(type) {
	case nil:
		return nil, true
	case string:
		return []string{v}, printable(v)
	case []any:
		out := make([]string, 0, len(v))
		for _, item := range v {
			s, ok := item.(string)
			if !ok || !printable(s) {
				return nil, false
			}
			out = append(out, s)
		}
		return out, true
	}
	return nil, false
}

// flatten writes a claim by its path. Numbers and booleans are written as JSON has them; !ok: there are too many.
func flatten(to map[string][]string, path string, v any, depth int, left *int) bool {
	put := func(s string) bool {
		if *left--; *left < 0 {
			return false
		}
		to[path] = append(to[path], s)
		return true
	}
	switch v := v.(type) {
	case string:
		return put(v)
	case json.Number:
		return put(v.String())
	case bool:
		if v {
			return put("true")
		}
		return put("false")
	case []any:
		for _, item := range v {
			switch item.(type) {
			case string, json.Number, bool:
				if !flatten(to, path, item, depth, left) {
					return false
				}
			}
		}
	case map[string]any:
		if depth == 0 {
			return true
		}
		for name, item := range v {
			if !flatten(to, path+"/"+name, item, depth-1, left) {
				return false
			}
		}
	}
	return true
}

// printable says whether a value can stand in a field of a request (RFC 9110 section 5.5), and on a terminal.
func printable(s string) bool { return !strings.ContainsFunc(s, unicode.IsControl) }

// plain says whether a value is printable, and the same to a server that trims fields: " root" is not root.
func plain(s string) bool { return printable(s) && strings.TrimSpace(s) == s }
