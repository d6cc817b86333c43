package edgetls

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Auth says whether clients are asked for a certificate.
type Auth uint8

// The ways to ask. One that is sent has to be good in either case, or the handshake fails.
const (
	Ignore  Auth = iota // clients are not asked
	Request             // a client may have none, and is nobody then
	Require             // a client without one gets no connection
)

// Clients is what a listener asks of its clients. The zero value asks nothing.
type Clients struct {
	Auth Auth
	// CA is a PEM file of the authorities that vouch for clients. They alone do: those of the
	// system count for servers.
	CA string
	// CRLs are files of revocation lists (RFC 5280 section 5), PEM or DER, each signed by an
	// authority of CA. With any, a client whose issuer has no list that is up to date is refused:
	// nobody knows whether it was revoked.
	CRLs []string
}

// clients is what is in force of them. Nil: clients are not asked.
type clients struct {
	auth  Auth
	pool  *x509.CertPool
	roots map[string]*x509.Certificate // by Raw
	lists map[string]*revoked          // by the issuer's public key; nil: nothing is ever revoked
	scope []byte                       // of the sessions, see keepSessions
	dates []Expiry
}

// Expiry is something about clients that will not be good for ever.
type Expiry struct {
	File string
	What string // Authority or List
	At   time.Time
	From time.Time // when it is time to say so
}

// What an Expiry is of.
const (
	Authority = "authority"
	List      = "revocation_list"
)

// soon is how long before its end an authority is spoken of.
const soon = 72 * time.Hour

var errNoAuthority = errors.New("it holds no certificate of an authority that is valid now")

// readClients reads and checks what concerns clients; nil: they are not asked.
func (s *Store) readClients() (*clients, error) {
	cfg := s.cfg.Clients
	if cfg.Auth == Ignore {
		return nil, nil
	}
	b, err := read(cfg.CA, maxFile)
	if err != nil {
		return nil, fmt.Errorf("client authorities: %w", err)
	}
	c := &clients{auth: cfg.Auth, pool: x509.NewCertPool(), roots: map[string]*x509.Certificate{}}
	if err := c.authorities(b, cfg.CA, s.cfg.Now()); err != nil {
		return nil, fmt.Errorf("client authorities %s: %w", cfg.CA, err)
	}
	sum := sha256.Sum256(fmt.Appendf(b, "\n%d", cfg.Auth))
	c.scope = append([]byte("sluice clients "), sum[:]...)
	if len(cfg.CRLs) > 0 {
		c.lists = map[string]*revoked{}
	}
	for _, name := range cfg.CRLs {
		if err := c.revocations(name, s.cfg.Now()); err != nil {
			return nil, fmt.Errorf("revocation list %s: %w", name, err)
		}
	}
	return c, nil
}

// authorities takes those of a bundle. One that has expired stays in it, where it vouches for
// nobody: it is no reason to keep a renewed certificate of the server out.
func (c *clients) authorities(b []byte, file string, now time.Time) error {
	valid := false
	for i := 1; ; i++ {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("block %d is a %q, not a certificate", i, block.Type)
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("block %d: %w", i, err)
		}
		if !ca.IsCA || !ca.BasicConstraintsValid {
			return fmt.Errorf("certificate %d (%s) is of no authority", i, ca.Subject)
		}
		c.pool.AddCert(ca)
		c.roots[string(ca.Raw)] = ca
		c.dates = append(c.dates, Expiry{file, Authority, ca.NotAfter, ca.NotAfter.Add(-soon)})
		valid = valid || !now.Before(ca.NotBefore) && !now.After(ca.NotAfter)
	}
	if !valid {
		return errNoAuthority
	}
	return nil
}

// ask puts into cfg what concerns clients.
func (c *clients) ask(cfg, tickets *tls.Config, now func() time.Time) {
	cfg.ClientAuth, cfg.ClientCAs = tls.VerifyClientCertIfGiven, c.pool
	if c.auth == Require {
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	}
	// Unlike the checks of crypto/tls, this one is made of resumed sessions too.
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 {
			return nil
		}
		if err := c.stand(cs.VerifiedChains, now()); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: err}
		}
		return nil
	}
	c.keepSessions(cfg, tickets)
}

// keepSessions has only those sessions resumed that began under the same rules. Keys of tickets
// may be shared by listeners and replicas: a client that was not asked elsewhere, or asked by
// other rules, is asked here (CVE-2025-23419 is what comes of it otherwise). It then shakes hands
// in full, and nothing fails.
func (c *clients) keepSessions(cfg, tickets *tls.Config) {
	cfg.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		ss.Extra = append(ss.Extra, c.scope)
		return tickets.EncryptTicket(cs, ss)
	}
	cfg.UnwrapSession = func(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		ss, err := tickets.DecryptTicket(ticket, cs)
		if err != nil || ss == nil {
			return nil, err
		}
		if !slices.ContainsFunc(ss.Extra, func(b []byte) bool { return string(b) == string(c.scope) }) {
			return nil, nil
		}
		return ss, nil
	}
}

// stand reports why a certificate that was verified once is not good at this time: nil, if at
// least one of its chains is. It allocates nothing when it is.
func (c *clients) stand(chains [][]*x509.Certificate, now time.Time) error {
	err := errUnverified
	for _, chain := range chains {
		if len(chain) == 0 {
			continue
		}
		if err = c.chain(chain, now); err == nil {
			return nil
		}
	}
	return err
}

var (
	errUnverified = errors.New("no authority vouches for the certificate")
	errLapsed     = errors.New("the certificate, or one that it rests on, has expired")
)

func (c *clients) chain(chain []*x509.Certificate, now time.Time) error {
	for _, cert := range chain {
		if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
			return errLapsed
		}
	}
	if c.roots[string(chain[len(chain)-1].Raw)] == nil {
		return errUnverified
	}
	if c.lists == nil {
		return nil
	}
	for i, cert := range chain[:max(len(chain)-1, 0)] {
		if err := c.lists[string(chain[i+1].RawSubjectPublicKeyInfo)].check(cert, i == 0, now); err != nil {
			return err
		}
	}
	return nil
}

// Standing reports why the certificate of a client that was verified when its connection began is
// not good any more; nil: it is. chains are those of the handshake.
func (s *Store) Standing(chains [][]*x509.Certificate) error {
	c := s.current.Load().clients
	if c == nil {
		return errUnverified
	}
	return c.stand(chains, s.cfg.Now())
}
