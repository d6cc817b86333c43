package pages

import (
	"strings"

	"github.com/sluiceproxy/sluice/authz"
)

// Denied is what a person sees whose request a policy does not allow. reason is a code of policies. id may be nil.
func Denied(requestID, reason string, id *authz.Identity) authz.Answer {
	p := Page{
		Title:   "This page is not open to you",
		Text:    []string{"The policy of this site does not allow your request. If you think that it should, send what stands below to those who run the site: `sluice why ID` tells them which rule decided, and what would have been needed."},
		Details: []Detail{{Name: "Request ID", Value: requestID}, {Name: "Reason", Value: reason}},
	}
	if id != nil {
		p.Details = append(p.Details, Detail{Name: "Signed in as", Value: name(id)})
		if provider, ok := strings.CutPrefix(id.Method, "oidc"); ok && id.Session != nil {
			p.Links = []Link{{Text: "Sign out, to come back as somebody else", To: "/.sluice/logout" + provider}}
		}
	}
	return p.Answer(403, reason)
}

func name(id *authz.Identity) string {
	if id.Email != "" && id.Email != id.User {
		return id.Email + " (" + id.User + ")"
	}
	return id.User
}
