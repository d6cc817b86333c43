package admin

import "github.com/sluiceproxy/sluice/authz/authn/oidc"

// Logins is how those at one provider fare.
type Logins struct {
	Provider string                // "oidc", "oidc/NAME"
	Failures uint64                // fetches of its description and keys
	Results  map[oidc.Result]int64 // every one of oidc.Results
}

// collectLogins tells of the providers that the configuration has.
func (c *collector) collectLogins(e emitter) {
	for _, l := range read(c.s.Logins) {
		e.value(idpFailures, float64(l.Failures), l.Provider)
		for _, r := range oidc.Results() {
			e.value(loginResults, float64(l.Results[r]), l.Provider, string(r))
		}
	}
}

func loginResultWords() (words []string) {
	for _, r := range oidc.Results() {
		words = append(words, string(r))
	}
	return words
}
