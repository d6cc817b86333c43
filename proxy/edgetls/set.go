package edgetls

import (
	"crypto/tls"
	"strings"
)

// set is what is in force at a time. Never changed.
type set struct {
	config  *tls.Config
	all     []*certificate
	byName  map[string][]*certificate // "a.example" or "*.example", in lower case
	print   string                    // of the files, see fingerprint
	clients *clients
}

type certificate struct {
	tls.Certificate
	file string
}

// names that the certificate stands for, in lower case.
func (c *certificate) names() (all []string) {
	for _, n := range c.Leaf.DNSNames {
		all = append(all, strings.ToLower(n))
	}
	for _, ip := range c.Leaf.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}

// named are the certificates for a server name, exact before wildcard (one label, RFC 6125
// section 6.4.3); without one, the first of all.
func (s *set) named(serverName string) []*certificate {
	name := strings.TrimSuffix(strings.ToLower(serverName), ".")
	if found := s.byName[name]; found != nil {
		return found
	}
	if _, parent, ok := strings.Cut(name, "."); ok {
		if found := s.byName["*."+parent]; found != nil {
			return found
		}
	}
	return s.all[:1]
}

// choose implements tls.Config.GetCertificate: of those for the name, the first that the client
// can use (there may be an ECDSA and an RSA one).
func (s *set) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	found := s.named(hello.ServerName)
	for _, c := range found {
		if hello.SupportsCertificate(&c.Certificate) == nil {
			return &c.Certificate, nil
		}
	}
	return &found[0].Certificate, nil
}
