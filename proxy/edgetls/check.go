package edgetls

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// check finds what would make every handshake with this certificate fail.
func (c *certificate) check(now time.Time) error {
	leaf := c.Leaf
	switch {
	case leaf.IsCA && len(c.names()) == 0:
		return errors.New("it is of an authority; the server's own has to come first in the file")
	case len(c.names()) == 0:
		return errors.New("it names no host: clients look at subjectAltName only")
	case now.After(leaf.NotAfter):
		return fmt.Errorf("it expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("it is valid from %s on only", leaf.NotBefore.UTC().Format(time.RFC3339))
	case len(leaf.ExtKeyUsage) > 0 && !forServers(leaf):
		return errors.New("it is not for servers (extendedKeyUsage)")
	}
	for i := 1; i < len(c.Certificate.Certificate); i++ {
		parent, err := x509.ParseCertificate(c.Certificate.Certificate[i])
		if err != nil {
			return fmt.Errorf("certificate %d of its chain: %w", i+1, err)
		}
		if err := leaf.CheckSignatureFrom(parent); err != nil {
			return fmt.Errorf("certificate %d of its chain did not sign the one before it: %w", i+1, err)
		}
		if now.After(parent.NotAfter) {
			return fmt.Errorf("certificate %d of its chain expired at %s", i+1, parent.NotAfter.UTC().Format(time.RFC3339))
		}
		leaf = parent
	}
	return nil
}

func forServers(c *x509.Certificate) bool {
	for _, u := range c.ExtKeyUsage {
		if u == x509.ExtKeyUsageServerAuth || u == x509.ExtKeyUsageAny {
			return true
		}
	}
	return false
}
