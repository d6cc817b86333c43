//go:build !nocel

package celexpr

import (
	"strings"

	"cel.dev/cel-go/interpreter"

	"github.com/sluiceproxy/sluice/authz"
)

// input gives an expression the variables that it asks for. It copies what aliases the loop's buffers.
type input struct {
	id  *authz.Identity
	req *authz.Request
}

var noClaims = map[string][]string{}

// ResolveName returns a variable. What is not known is not found, which is an error to CEL.
func (in *input) ResolveName(name string) (any, bool) {
	switch name {
	case "method":
		return in.req.Method, true
	case "host":
		return string(in.req.Host), true
	case "path":
		return string(in.req.Path), true
	case "query":
		return string(in.req.Query), true
	case "route":
		return in.req.Route, true
	case "source_ip":
		addr := in.req.Source.Unmap()
		return addr, addr.IsValid()
	case "now":
		return in.req.Time, !in.req.Time.IsZero()
	}
	if in.id == nil {
		return nil, false
	}
	switch name {
	case "user":
		return in.id.User, true
	case "email":
		return lower(in.id.Email), true
	case "domain":
		at := strings.LastIndexByte(in.id.Email, '@')
		if at < 0 {
			return "", true
		}
		return lower(in.id.Email[at+1:]), true
	case "groups":
		return in.id.Groups, true
	case "claims":
		if in.id.Claims == nil {
			return noClaims, true
		}
		return in.id.Claims, true
	}
	return nil, false
}

// lower folds the case of ASCII letters: a deny for bad@example.com is not avoided as Bad@example.com.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

// Parent is none.
func (in *input) Parent() interpreter.Activation { return nil }
