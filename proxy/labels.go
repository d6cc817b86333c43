package proxy

import "github.com/sluiceproxy/sluice/authz"

// The closed sets of words that Stats uses, for whoever makes labels of them.

// RefusalReasons are the keys of ListenerStats.Refused.
func RefusalReasons() []string { return words(numRefusals) }

// HandshakeResults are the keys of ListenerStats.Handshakes.
func HandshakeResults() []string { return words(numHandshakes) }

// PanicSites are the keys of Stats.Panics.
func PanicSites() []string { return words(numSites) }

// HTTP2Reasons are the keys of both maps of HTTP2Stats.
func HTTP2Reasons() []string {
	all := make([]string, len(h2Reasons))
	for i, why := range h2Reasons {
		all[i] = string(why)
	}
	return all
}

// Methods are what RequestStats.Method may be.
func Methods() []string { return append([]string(nil), methodLabels[:]...) }

// Decisions are what DecisionStats.Decision may be.
func Decisions() []string {
	return []string{authz.Allow.String(), authz.Deny.String(), authz.Challenge.String(), authz.Unavailable.String()}
}

// words are the names of the values below n.
func words[T interface {
	~uint8
	String() string
}](n T) []string {
	all := make([]string, 0, n)
	for v := range n {
		all = append(all, v.String())
	}
	return all
}
