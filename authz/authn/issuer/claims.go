package issuer

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/sluiceproxy/sluice/authz"
)

// The limits of what is taken from a token.
const (
	MaxClaims = 256  // strings of all claims together
	MaxGroups = 1000 // of one token; one with more is refused, since some of them might be denied something
	maxDepth  = 4    // of claims within claims
	maxUser   = 2048 // bytes of a user's ID
)

// What is wrong with claims.
var (
	ErrClaims = errors.New("the claims are malformed")
	ErrUser   = errors.New("it names no user")
)

// registered are claims that say something of the token, and nothing of the user.
var registered = []string{"iss", "aud", "exp", "nbf", "iat", "jti"}

// Claims are those of a token, by name.
type Claims map[string]any

// ParseClaims reads the payload of a token. The error is ErrClaims, also where a name is given twice.
func ParseClaims(payload []byte) (Claims, error) {
	var c Claims
	d := json.NewDecoder(bytes.NewReader(payload)) // refuses a name that is given twice
	d.SetNumberType(json.UnmarshalJSONNumber)
	if err := d.Decode(&c); err != nil || c == nil {
		return nil, ErrClaims
	}
	return c, nil
}

// Names says which claims are what. A path of names has / between them.
type Names struct {
	User   string // zero: "sub"
	Email  string // zero: "email"; none if email_verified says that it is not
	Groups string // zero: "groups"
	// Keep are the claims that the identity has, by their paths; nil: all that say something of the user.
	Keep []string
}

// Filled returns the names with the defaults in place of the zero values.
func (n Names) Filled() Names {
	if n.User == "" {
		n.User = "sub"
	}
	if n.Email == "" {
		n.Email = "email"
	}
	if n.Groups == "" {
		n.Groups = "groups"
	}
	return n
}

// Identity makes an identity of the claims of a verified token. The error is ErrUser or ErrClaims.
func (c Claims) Identity(method string, n Names) (*authz.Identity, error) {
	n = n.Filled()
	user, _ := c.At(n.User).(string)
	if user == "" || len(user) > maxUser || !plain(user) {
		return nil, ErrUser
	}
	id := &authz.Identity{Method: method, User: user}
	if email, ok := c.At(n.Email).(string); ok && plain(email) {
		id.Email = email
	}
	switch c["email_verified"] { // some write it as text
	case nil, true, "true":
	default:
		id.Email = ""
	}
	groups, ok := texts(c.At(n.Groups))
	if !ok || len(groups) > MaxGroups {
		return nil, ErrClaims
	}
	id.Groups = groups
	id.Claims = map[string][]string{}
	left := MaxClaims
	if n.Keep == nil {
		for name, v := range c {
			if name != n.Groups && !slices.Contains(registered, name) && !flatten(id.Claims, name, v, maxDepth, &left) {
				return nil, ErrClaims
			}
		}
		return id, nil
	}
	for _, path := range n.Keep {
		if !flatten(id.Claims, path, c.At(path), maxDepth, &left) {
			return nil, ErrClaims
		}
	}
	return id, nil
}

// At finds a claim by its name, or by a path of names with / between them.
func (c Claims) At(path string) any {
	if v, ok := c[path]; ok {
		return v
	}
	var v any = map[string]any(c)
	for name := range strings.SplitSeq(path, "/") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

// maxDate is the end of the year 9999: what is beyond is no date that somebody meant.
const maxDate = 253402300799

// Time reads a claim of seconds since 1970, maybe with a fraction (RFC 7519 section 2). The zero time: it is not there.
func (c Claims) Time(name string) (time.Time, error) {
	v, given := c[name]
	if !given {
		return time.Time{}, nil
	}
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, ErrClaims
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f > maxDate {
		return time.Time{}, ErrClaims
	}
	return time.Unix(int64(f), 0), nil
}

// Texts reads a claim that is a string or a list of strings; nothing is an empty list. The error is ErrClaims.
func (c Claims) Texts(name string) ([]string, error) {
	list, ok := texts(c[name])
	if !ok {
		return nil, ErrClaims
	}
	return list, nil
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
