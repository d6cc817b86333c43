package edgetls

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// maxList is how large a file of revocation lists may be, in bytes: some 400,000 certificates.
const maxList = 16 << 20

// serial is a serial number, right-aligned (RFC 5280 section 4.1.2.2: at most 20 octets).
type serial [20]byte

// revoked is what an issuer took back.
type revoked struct {
	serials map[serial]struct{}
	until   time.Time // then the issuer may have taken back more
}

var (
	errRevoked = errors.New("the certificate, or one that it rests on, was revoked")
	errNoList  = errors.New("no revocation list of the certificate's issuer is there")
	errOldList = errors.New("the revocation list of an issuer is out of date (nextUpdate)")
	errSerial  = errors.New("the serial number is longer than 20 octets")
)

// check asks the list of cert's issuer; r is nil if there is none, which only the client's own
// issuer (leaf) has to have: roots seldom issue one.
func (r *revoked) check(cert *x509.Certificate, leaf bool, now time.Time) error {
	switch {
	case r == nil && leaf:
		return errNoList
	case r == nil:
		return nil
	case now.After(r.until):
		return errOldList
	}
	key, ok := serialOf(cert.SerialNumber)
	if !ok {
		return errSerial
	}
	if _, ok := r.serials[key]; ok {
		return errRevoked
	}
	return nil
}

func serialOf(n *big.Int) (s serial, ok bool) {
	if n == nil || n.Sign() < 0 || n.BitLen() > 8*len(s) {
		return s, false
	}
	n.FillBytes(s[:])
	return s, true
}

// revocations adds the lists of a file.
func (c *clients) revocations(name string, now time.Time) error {
	b, err := read(name, maxList)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte("-----BEGIN ")) {
		return c.list(b, name, now)
	}
	n := 0
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "X509 CRL" {
			return fmt.Errorf("a block is a %q, not a revocation list", block.Type)
		}
		if err := c.list(block.Bytes, name, now); err != nil {
			return err
		}
		n++
	}
	if n == 0 {
		return errors.New("it holds no revocation list")
	}
	return nil
}

var oidDelta = asn1.ObjectIdentifier{2, 5, 29, 27}

// list adds one. A list that is out of date is no fault: it refuses its issuer's clients, as said
// in Clients, and that must not keep everything else of the listener from being renewed.
func (c *clients) list(der []byte, file string, now time.Time) error {
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		return err
	}
	issuer := c.issuer(l)
	switch {
	case issuer == nil:
		return fmt.Errorf("no authority in ca_file signed it (issuer %s)", l.Issuer)
	case l.NextUpdate.IsZero():
		return errors.New("it does not say when the next one is due (nextUpdate)")
	case now.Before(l.ThisUpdate):
		return fmt.Errorf("it is valid from %s on only", l.ThisUpdate.UTC().Format(time.RFC3339))
	}
	for _, e := range l.Extensions {
		if e.Critical || e.Id.Equal(oidDelta) { // a part of a list, or one of changes
			return fmt.Errorf("it is not a complete list (extension %s)", e.Id)
		}
	}
	key := string(issuer.RawSubjectPublicKeyInfo)
	r := c.lists[key]
	if r == nil {
		r = &revoked{serials: make(map[serial]struct{}, len(l.RevokedCertificateEntries)), until: l.NextUpdate}
		c.lists[key] = r
	}
	if l.NextUpdate.Before(r.until) {
		r.until = l.NextUpdate
	}
	for _, e := range l.RevokedCertificateEntries {
		s, ok := serialOf(e.SerialNumber)
		if !ok {
			return errSerial
		}
		r.serials[s] = struct{}{}
	}
	warn := min(soon, l.NextUpdate.Sub(l.ThisUpdate)/4)
	c.dates = append(c.dates, Expiry{file, List, l.NextUpdate, l.NextUpdate.Add(-warn)})
	return nil
}

// issuer is the authority that signed a list.
func (c *clients) issuer(l *x509.RevocationList) *x509.Certificate {
	for _, ca := range c.roots {
		if bytes.Equal(ca.RawSubject, l.RawIssuer) && l.CheckSignatureFrom(ca) == nil {
			return ca
		}
	}
	return nil
}
