package authn

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/authz"
)

// Chain asks authenticators in order. The first that knows the sender wins; one that
// refuses a credential (Challenge) or cannot decide (Unavailable) ends it; if none finds
// a credential of its kind, the request is anonymous: Deny without an identity. The
// zero Chain makes every request anonymous. It is an authz.Authenticator.
type Chain struct {
	list []authz.Authenticator
}

var _ authz.Authenticator = Chain{}

// NewChain returns a chain that asks in the order given.
func NewChain(list ...authz.Authenticator) Chain { return Chain{slices.Clone(list)} }

// Select returns the chain for a route's list of names.
func Select(known []authz.Authenticator, names []string) (Chain, error) {
	var c Chain
	for _, name := range names {
		i := slices.IndexFunc(known, func(a authz.Authenticator) bool { return a.Name() == name })
		if i < 0 {
			return Chain{}, fmt.Errorf("there is no authenticator %q", name)
		}
		c.list = append(c.list, known[i])
	}
	return c, nil
}

// Name returns the names of the authenticators, joined by "+".
func (c Chain) Name() string {
	names := make([]string, len(c.list))
	for i, a := range c.list {
		names[i] = a.Name()
	}
	return strings.Join(names, "+")
}

// Try asks from memory. Pending means that Resolve must be asked, from the start.
func (c Chain) Try(req *authz.Request) (*authz.Identity, authz.Verdict) {
	for _, a := range c.list {
		if id, v := a.Try(req); v != authz.Deny {
			return known(id, v)
		}
	}
	return nil, authz.Deny
}

// Resolve asks again, and waits for those that are pending.
func (c Chain) Resolve(req *authz.Request) (*authz.Identity, authz.Verdict) {
	for _, a := range c.list {
		id, v := a.Try(req)
		if v == authz.Pending {
			id, v = a.Resolve(req)
		}
		if v == authz.Pending { // against the contract: never let it through
			v = authz.Unavailable
		}
		if v != authz.Deny {
			return known(id, v)
		}
	}
	return nil, authz.Deny
}

// known keeps two mistakes of an authenticator from opening a door: an identity
// together with a refusal, and an Allow for nobody.
func known(id *authz.Identity, v authz.Verdict) (*authz.Identity, authz.Verdict) {
	switch {
	case v != authz.Allow:
		return nil, v
	case id == nil:
		return nil, authz.Unavailable
	}
	return id, v
}

// ChallengeHeader returns the challenges of all authenticators, as one list (RFC 9110
// section 11.6.1).
func (c Chain) ChallengeHeader() string {
	var all []string
	for _, a := range c.list {
		if h := a.ChallengeHeader(); h != "" && !slices.Contains(all, h) {
			all = append(all, h)
		}
	}
	return strings.Join(all, ", ")
}

// Fields returns the fields that a clone for Resolve must keep.
func (c Chain) Fields() []string {
	var all []string
	for _, a := range c.list {
		if f, ok := a.(interface{ Fields() []string }); ok {
			all = append(all, f.Fields()...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
