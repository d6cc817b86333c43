package policy

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/internal/yaml"
)

// The criterion client_certificate: what of a certificate is compared. A Test holds it as its Claim;
// the empty one only asks whether there is a certificate.
const (
	certFingerprint = "fingerprint"
	certSPKI        = "spki_hash"
	certURI         = "uri"
	certDNS         = "dns"
	certEmail       = "email"
)

var certWords = []string{certDNS, certEmail, certFingerprint, certSPKI, certURI}

// readCertificate reads true, or a map of what is compared. All of it must be met.
func readCertificate(test Test, n yaml.Node, r *yaml.Reader) (Expr, bool) {
	if n.Kind() != yaml.Map {
		return readTest(test, matchTrue, n, r)
	}
	if n.Len() == 0 {
		r.Fault(n, "nothing to compare; write true for any certificate, or one of: %s", strings.Join(certWords, ", "))
		return Expr{}, false
	}
	out := Expr{Op: And}
	for i := range n.Len() {
		key, value := n.Entry(i)
		leaf, at := test, r.Key(key.Text())
		e, ok := Expr{}, false
		switch leaf.Claim = key.Text(); leaf.Claim {
		case certFingerprint, certSPKI:
			e, ok = readDigests(leaf, value, at)
		case certURI, certDNS, certEmail:
			e, ok = readMatchers(leaf, stringMatchers, stringWords, Is, value, at)
		default:
			r.Unknown("part of a certificate", key, certWords)
		}
		if ok {
			out.List = append(out.List, e)
		}
	}
	switch {
	case len(out.List) < n.Len():
		return Expr{}, false
	case len(out.List) == 1:
		return out.List[0], true
	}
	return out, true
}

// readDigests reads one digest or a list of them, in their one form.
func readDigests(t Test, n yaml.Node, r *yaml.Reader) (Expr, bool) {
	t.Matcher = Is
	if n.Kind() == yaml.List {
		t.Matcher = In
	}
	ok := readValues(&t, n, r)
	for i, v := range t.Values {
		form, valid := hexDigest(v)
		why := "is not a SHA-256 in 64 hexadecimal digits (openssl x509 -noout -fingerprint -sha256)"
		if t.Claim == certSPKI {
			form, valid = base64Digest(v)
			why = "is not a SHA-256 in base64 (44 characters)"
		}
		if !valid {
			r.Fault(n, "%q %s", v, why)
			return Expr{}, false
		}
		t.Values[i] = form
	}
	return Expr{Op: Leaf, Test: t}, ok
}

func hexDigest(v string) (string, bool) {
	v = strings.ToLower(strings.ReplaceAll(v, ":", ""))
	b, err := hex.DecodeString(v)
	return v, err == nil && len(b) == 32
}

func base64Digest(v string) (string, bool) {
	b, err := base64.StdEncoding.DecodeString(v)
	return base64.StdEncoding.EncodeToString(b), err == nil && len(b) == 32
}

// certificate compares. Of several names of a kind one has to be met, and by a negation all.
func (t arg) certificate(c *authz.ClientCertificate) value {
	switch t.claim {
	case "":
		return yes
	case certFingerprint:
		return is(match(t, c.Fingerprint))
	case certSPKI:
		return is(match(t, c.SPKIHash))
	case certURI:
		return is(t.names(c.URIs))
	case certDNS:
		return is(t.names(c.DNSNames))
	case certEmail:
		return is(t.names(c.Emails))
	}
	return failed
}

// foldsCertificate reports whether the case of letters does not matter.
func (t *Test) foldsCertificate() bool {
	return t.Criterion == ClientCertificate && (t.Claim == certDNS || t.Claim == certEmail)
}

func (t arg) names(list []string) bool {
	met := func(s string) bool { return t.folded(s) == yes }
	if t.claim == certURI {
		met = func(s string) bool { return match(t, s) }
	}
	if t.matcher == IsNot || t.matcher == NotIn {
		return !slices.ContainsFunc(list, func(s string) bool { return !met(s) })
	}
	return slices.ContainsFunc(list, met)
}
