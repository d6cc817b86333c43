package authn

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sluiceproxy/sluice/authz"
)

// fake answers as told.
type fake struct {
	name    string
	id      *authz.Identity
	try     authz.Verdict
	resolve authz.Verdict
	asked   *[]string
}

func (f fake) Name() string            { return f.name }
func (f fake) ChallengeHeader() string { return f.name }
func (f fake) Fields() []string        { return []string{"authorization", f.name} }
func (f fake) Try(*authz.Request) (*authz.Identity, authz.Verdict) {
	*f.asked = append(*f.asked, f.name)
	return f.id, f.try
}
func (f fake) Resolve(*authz.Request) (*authz.Identity, authz.Verdict) {
	*f.asked = append(*f.asked, "resolve "+f.name)
	return f.id, f.resolve
}

func TestChain(t *testing.T) {
	id := &authz.Identity{User: "u"}
	for _, tt := range []struct {
		name           string
		a, b           fake
		try, resolve   string
		asked, settled string
	}{
		{"anonymous", fake{}, fake{}, "deny", "deny", "[a b]", "[a b]"},
		{"first", fake{id: id, try: authz.Allow}, fake{}, "allow u", "allow u", "[a]", "[a]"},
		{"second", fake{}, fake{id: id, try: authz.Allow}, "allow u", "allow u", "[a b]", "[a b]"},
		{"challenge ends", fake{try: authz.Challenge}, fake{id: id, try: authz.Allow}, "challenge", "challenge", "[a]", "[a]"},
		{"unavailable ends", fake{try: authz.Unavailable}, fake{id: id, try: authz.Allow}, "unavailable", "unavailable", "[a]", "[a]"},
		{"pending, then allow", fake{id: id, try: authz.Pending, resolve: authz.Allow}, fake{}, "pending", "allow u", "[a]", "[a resolve a]"},
		{"pending, then deny", fake{try: authz.Pending}, fake{id: id, try: authz.Allow}, "pending", "allow u", "[a]", "[a resolve a b]"},
		{"pending for ever", fake{try: authz.Pending, resolve: authz.Pending}, fake{id: id, try: authz.Allow}, "pending", "unavailable", "[a]", "[a resolve a]"},
		{"allow for nobody", fake{try: authz.Allow}, fake{}, "unavailable", "unavailable", "[a]", "[a]"},
		{"challenge with an identity", fake{id: id, try: authz.Challenge}, fake{}, "challenge", "challenge", "[a]", "[a]"},
		{"deny with an identity", fake{id: id}, fake{}, "deny", "deny", "[a b]", "[a b]"},
	} {
		var asked []string
		tt.a.name, tt.b.name = "a", "b"
		tt.a.asked, tt.b.asked = &asked, &asked
		c := NewChain(tt.a, tt.b)
		if got := answer(c.Try(nil)); got != tt.try || fmt.Sprint(asked) != tt.asked {
			t.Errorf("%s: Try %s %s, want %s %s", tt.name, got, asked, tt.try, tt.asked)
		}
		asked = nil
		if got := answer(c.Resolve(nil)); got != tt.resolve || fmt.Sprint(asked) != tt.settled {
			t.Errorf("%s: Resolve %s %s, want %s %s", tt.name, got, asked, tt.resolve, tt.settled)
		}
	}
}

func answer(id *authz.Identity, v authz.Verdict) string {
	if id == nil {
		return v.String()
	}
	return v.String() + " " + id.User
}

func TestChainSpeaksForAll(t *testing.T) {
	known := []authz.Authenticator{fake{name: "a"}, fake{name: "b"}}
	c, err := Select(known, []string{"b", "a"})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Name(); got != "b+a" {
		t.Errorf("name %q", got)
	}
	if got := c.ChallengeHeader(); got != "b, a" {
		t.Errorf("challenge %q", got)
	}
	if got := c.Fields(); !slices.Equal(got, []string{"a", "authorization", "b"}) {
		t.Errorf("fields %q", got)
	}
	if _, err := Select(known, []string{"a", "c"}); err == nil {
		t.Error("an unknown name was taken")
	}
	if id, v := (Chain{}).Try(nil); id != nil || v != authz.Deny {
		t.Errorf("zero chain: %v, %v", id, v)
	}
}
