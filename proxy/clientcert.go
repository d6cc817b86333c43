package proxy

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/sluiceproxy/sluice/authz"
)

// proof is what the handshake of a connection proved of its client. Nil: nothing.
type proof struct {
	cert   authz.ClientCertificate
	chains [][]*x509.Certificate // that were verified; what they rest on may be taken back later
}

// proofOf is made once, when the handshake is over.
func proofOf(st *tls.ConnectionState) *proof {
	if len(st.VerifiedChains) == 0 || len(st.PeerCertificates) == 0 {
		return nil
	}
	leaf := st.PeerCertificates[0]
	digest, key := sha256.Sum256(leaf.Raw), sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	p := &proof{chains: st.VerifiedChains}
	p.cert.Fingerprint, p.cert.SPKIHash = hex.EncodeToString(digest[:]), base64.StdEncoding.EncodeToString(key[:])
	p.cert.Emails = leaf.EmailAddresses
	for _, u := range leaf.URIs {
		p.cert.URIs = append(p.cert.URIs, u.String())
	}
	for _, n := range leaf.DNSNames {
		p.cert.DNSNames = append(p.cert.DNSNames, strings.ToLower(n))
	}
	return p
}

// certificate is what the stages may know of it.
func (p *proof) certificate() *authz.ClientCertificate {
	if p == nil {
		return nil
	}
	return &p.cert
}

// lapsed answers a request on a connection whose client's certificate has expired or was revoked
// since the handshake, or whose authority is trusted no more. It says goodbye: on a new
// connection the client can show another.
func (x *exchange) lapsed() bool {
	d := x.d
	if d.proof == nil || d.ln.cfg.TLS.Standing(d.proof.chains) == nil {
		return false
	}
	x.reply(response{status: 403, reason: "certificate_lapsed", text: "the client certificate of this connection is not valid any more", close: true, leave: true})
	return true
}
