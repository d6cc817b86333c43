package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// String returns the clearer of the names that an operator has.
func (o Op) String() string { return [...]string{"and", "or", "none_of", "not_all_of", "test"}[o] }

// maxShown is how many values of a list are written out.
const maxShown = 8

// String returns the test as a policy has it, long lists cut.
func (t *Test) String() string {
	name := t.name()
	if t.Criterion == CEL {
		return name + ": " + strconv.Quote(t.CEL.Text)
	}
	switch t.Matcher {
	case None:
		return name + ": true"
	case Within:
		words := make([]string, len(t.Nets))
		for i, n := range t.Nets {
			words[i] = n.String()
		}
		return name + ": " + listText(words)
	case During:
		return name + ": " + t.Window.text(t.Criterion)
	}
	value := ""
	if t.Matcher == In || t.Matcher == NotIn {
		value = listText(t.Values)
	} else {
		value = t.Values[0]
	}
	words := stringMatchers
	if t.Matcher >= Has {
		words = listMatchers
	}
	word := "is"
	for w, m := range words {
		if m == t.Matcher {
			word = w
		}
	}
	if t.Criterion == ClientCertificate {
		word, value = t.Claim, "{"+word+": "+value+"}"
	}
	return fmt.Sprintf("%s: {%s: %s}", name, word, value)
}

func listText(words []string) string {
	more := ""
	if n := len(words) - maxShown; n > 0 {
		words, more = words[:maxShown], fmt.Sprintf(", and %d more", n)
	}
	return "[" + strings.Join(words, ", ") + more + "]"
}

func (w *Window) text(c Criterion) string {
	var parts []string
	bound := func(name string, v int64) {
		form, zone := time.DateTime, w.Zone
		if c == TimeOfDay {
			form, zone = time.TimeOnly, time.UTC
		}
		parts = append(parts, fmt.Sprintf("%s: %q", name, time.Unix(v, 0).In(zone).Format(form)))
	}
	switch c {
	case DayOfWeek:
		var days []string
		for i, d := range dayWords {
			if w.Days>>i&1 == 1 {
				days = append(days, d)
			}
		}
		parts = append(parts, "days: "+listText(days))
	default:
		if w.From != noFrom && (c == Date || w.From != 0) {
			bound("after", w.From)
		}
		if w.Before != noBefore && (c == Date || w.Before != day) {
			bound("before", w.Before)
		}
	}
	return "{" + strings.Join(append(parts, "timezone: "+w.Zone.String()), ", ") + "}"
}

// seen is what the test looked at.
func (t *Test) seen(q *query) string {
	if q.id == nil && t.needsIdentity() {
		return "nobody is known"
	}
	switch t.Criterion {
	case AuthenticatedUser, User:
		return q.id.User
	case Email:
		return q.id.Email
	case Domain:
		return domain(q.id.Email)
	case Groups:
		return listText(q.id.Groups)
	case Claim:
		return listText(q.id.Claims[t.Claim])
	case HTTPMethod:
		return q.req.Method
	case HTTPPath:
		return string(q.req.Path)
	case SourceIP:
		return q.req.Source.String()
	case ClientCertificate:
		return t.seenCertificate(q.req.Certificate)
	case CORSPreflight:
		if q.req.Preflight {
			return "a preflight"
		}
		return q.req.Method + ", no preflight"
	case Date, TimeOfDay, DayOfWeek:
		return q.req.Time.In(t.Window.Zone).Format("Mon 2006-01-02 15:04:05 MST")
	case Accept, Reject, CEL:
	}
	return ""
}

func (t *Test) seenCertificate(c *authz.ClientCertificate) string {
	if c == nil {
		return "no certificate"
	}
	switch t.Claim {
	case certSPKI:
		return c.SPKIHash
	case certURI:
		return listText(c.URIs)
	case certDNS:
		return listText(c.DNSNames)
	case certEmail:
		return listText(c.Emails)
	}
	return c.Fingerprint
}
