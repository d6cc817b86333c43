package edgetls

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// ruled is a store whose clients are asked, with what they depend on.
type ruled struct {
	ca, other made
	caFile    string
	crlFile   string
	cfg       Config
}

var clientUse = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}

func newRuled(t *testing.T, auth Auth) *ruled {
	t.Helper()
	dir := t.TempDir()
	r := &ruled{ca: wish{isCA: true}.make(t), other: wish{isCA: true}.make(t), caFile: filepath.Join(dir, "ca.pem"), crlFile: filepath.Join(dir, "crl.pem")}
	pair := wish{names: []string{"edge.test"}}.make(t).put(t, dir, "edge")
	r.trust(t, r.ca)
	r.cfg = Config{Pairs: []Pair{pair}, Clients: Clients{Auth: auth, CA: r.caFile}}
	return r
}

func (r *ruled) trust(t *testing.T, all ...made) {
	t.Helper()
	var text []byte
	for _, m := range all {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.cert.Raw})...)
	}
	save(t, r.caFile, string(text))
}

// revoke writes a list that lasts so long.
func (r *ruled) revoke(t *testing.T, by made, lasts time.Duration, all ...made) {
	t.Helper()
	save(t, r.crlFile, string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl(t, by, lasts, nil, all...)})))
}

func crl(t *testing.T, by made, lasts time.Duration, more []pkix.Extension, all ...made) []byte {
	t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(lasts), ExtraExtensions: more}
	for _, m := range all {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: m.cert.SerialNumber, RevocationTime: time.Now().Add(-time.Minute)})
	}
	issuer := *by.cert
	issuer.KeyUsage |= x509.KeyUsageCRLSign
	der, err := x509.CreateRevocationList(rand.Reader, template, &issuer, by.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func (r *ruled) store(t *testing.T) *Store {
	t.Helper()
	s, err := New(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func reload(t *testing.T, s *Store) {
	t.Helper()
	if changed, err := s.Reload(); err != nil || !changed {
		t.Fatalf("reload: changed %v, %v", changed, err)
	}
}

// showing is a client with that certificate, and those between it and the root.
func showing(version uint16, m *made, chain ...made) *tls.Config {
	cfg := anyone("edge.test", version)
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	if m != nil {
		c := tls.Certificate{Certificate: [][]byte{m.cert.Raw}, PrivateKey: m.key}
		for _, between := range chain {
			c.Certificate = append(c.Certificate, between.cert.Raw)
		}
		// Whatever authorities the server names: a client may be wrong.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }
	}
	return cfg
}

var versions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

func TestClientCertificates(t *testing.T) {
	for name, version := range versions {
		for _, auth := range []Auth{Ignore, Request, Require} {
			r := newRuled(t, auth)
			s := r.store(t)
			between := wish{isCA: true, signedBy: &r.ca}.make(t)
			good := wish{usage: clientUse, signedBy: &r.ca}.make(t)
			below := wish{usage: clientUse, signedBy: &between}.make(t)
			stranger := wish{usage: clientUse, signedBy: &r.other}.make(t)
			late := wish{usage: clientUse, signedBy: &r.ca, lasts: -time.Minute}.make(t)
			early := wish{usage: clientUse, signedBy: &r.ca, from: 2 * time.Hour}.make(t)
			server := wish{usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, signedBy: &r.ca}.make(t)
			for _, tt := range []struct {
				name  string
				show  *made
				chain []made
				good  bool
			}{
				{"none", nil, nil, auth == Request},
				{"good", &good, nil, true},
				{"below an intermediate", &below, []made{between}, true},
				{"below one that is not shown", &below, nil, false},
				{"of another authority", &stranger, nil, false},
				{"expired", &late, nil, false},
				{"not yet valid", &early, nil, false},
				{"of a server", &server, nil, false},
			} {
				_, err := shake(t, s, showing(version, tt.show, tt.chain...))
				if want := tt.good || auth == Ignore; (err == nil) != want {
					t.Errorf("TLS %s, mode %d, %s: %v, want accepted: %v", name, auth, tt.name, err, want)
				}
			}
		}
	}
}

// What counts is what is in force when a session is resumed, not when it began.
func TestResumedClientsAreJudgedAnew(t *testing.T) {
	for name, version := range versions {
		for _, tt := range []struct {
			name    string
			change  func(t *testing.T, r *ruled, client, other made)
			resumed bool
			good    bool
		}{
			{"nothing", func(t *testing.T, r *ruled, _, other made) { r.revoke(t, r.ca, time.Hour, other) }, true, true},
			{"revoked", func(t *testing.T, r *ruled, client, _ made) { r.revoke(t, r.ca, time.Hour, client) }, false, false},
			{"list out of date", func(t *testing.T, r *ruled, _, _ made) { r.revoke(t, r.ca, -time.Minute) }, false, false},
			{"authority gone", func(t *testing.T, r *ruled, _, _ made) { r.trust(t, r.other); r.revoke(t, r.other, time.Hour) }, false, false},
			{"authority joined by another", func(t *testing.T, r *ruled, _, _ made) { r.trust(t, r.ca, r.other) }, false, true},
		} {
			r := newRuled(t, Request)
			r.cfg.Clients.CRLs = []string{r.crlFile}
			r.revoke(t, r.ca, time.Hour)
			s := r.store(t)
			client := wish{usage: clientUse, signedBy: &r.ca}.make(t)
			cfg := showing(version, &client)
			if _, err := shake(t, s, cfg); err != nil {
				t.Fatalf("TLS %s: %v", name, err)
			}
			tt.change(t, r, client, wish{signedBy: &r.ca}.make(t))
			reload(t, s)
			st, err := shake(t, s, cfg)
			if (err == nil) != tt.good || err == nil && st.DidResume != tt.resumed {
				t.Errorf("TLS %s, %s: resumed %v, %v; want %v, accepted %v", name, tt.name, st.DidResume, err, tt.resumed, tt.good)
			}
		}
	}
}

// A session that began before its certificate expired is not resumed after.
func TestResumedClientsExpire(t *testing.T) {
	for name, version := range versions {
		r := newRuled(t, Require)
		now := time.Now()
		r.cfg.Now = func() time.Time { return now }
		s := r.store(t)
		client := wish{usage: clientUse, signedBy: &r.ca, lasts: 10 * time.Minute}.make(t)
		cfg := showing(version, &client)
		cfg.Time = r.cfg.Now
		if _, err := shake(t, s, cfg); err != nil {
			t.Fatal(err)
		}
		if st, err := shake(t, s, cfg); err != nil || !st.DidResume {
			t.Fatalf("TLS %s: resumed %v, %v", name, st.DidResume, err)
		}
		now = now.Add(11 * time.Minute)
		if _, err := shake(t, s, cfg); err == nil {
			t.Errorf("TLS %s: resumed with a certificate that has expired", name)
		}
	}
}

// A ticket is of the rules that it was issued under: listeners may share their keys.
func TestTicketsDoNotCrossRules(t *testing.T) {
	for name, version := range versions {
		for _, tt := range []struct {
			name     string
			from, to Auth
			same     bool // the authorities
			resumed  bool
		}{
			{"the same", Request, Request, true, true},
			{"nobody was asked before", Ignore, Request, true, false},
			{"nobody was asked before, and must be", Ignore, Require, true, false},
			{"other authorities", Request, Request, false, false},
			{"asked, then required", Request, Require, true, false},
		} {
			keys := filepath.Join(t.TempDir(), "tickets")
			save(t, keys, strings.Repeat("0123456789abcdef", 4)+"\n")
			a, b := newRuled(t, tt.from), newRuled(t, tt.to)
			a.cfg.TicketKeys, b.cfg.TicketKeys = keys, keys
			a.trust(t, a.ca)
			if tt.same {
				b.trust(t, a.ca)
			} else {
				b.trust(t, a.ca, b.ca)
			}
			client := wish{usage: clientUse, signedBy: &a.ca}.make(t)
			cfg := showing(version, &client)
			if _, err := shake(t, a.store(t), cfg); err != nil {
				t.Fatal(err)
			}
			st, err := shake(t, b.store(t), cfg)
			if err != nil || st.DidResume != tt.resumed {
				t.Errorf("TLS %s, %s: resumed %v, %v", name, tt.name, st.DidResume, err)
			}
		}
	}
}

func TestRevocationLists(t *testing.T) {
	r := newRuled(t, Require)
	between := wish{isCA: true, signedBy: &r.ca}.make(t)
	client := wish{usage: clientUse, signedBy: &r.ca}.make(t)
	below := wish{usage: clientUse, signedBy: &between}.make(t)
	r.cfg.Clients.CRLs = []string{r.crlFile}
	r.revoke(t, r.ca, time.Hour, between)
	s := r.store(t)
	if _, err := shake(t, s, showing(0, &client)); err != nil {
		t.Errorf("not revoked: %v", err)
	}
	for _, tt := range []struct {
		want  error
		chain []*x509.Certificate
	}{
		{nil, []*x509.Certificate{client.cert, r.ca.cert}},
		{errRevoked, []*x509.Certificate{between.cert, r.ca.cert}},
		{errNoList, []*x509.Certificate{below.cert, between.cert, r.ca.cert}},
		{errUnverified, []*x509.Certificate{client.cert, r.other.cert}},
		{errUnverified, nil},
	} {
		if err := s.Standing([][]*x509.Certificate{tt.chain}); !errors.Is(err, tt.want) {
			t.Errorf("%d certificates: %v, want %v", len(tt.chain), err, tt.want)
		}
	}
	chains := [][]*x509.Certificate{{client.cert, r.ca.cert}}
	if n := testing.AllocsPerRun(100, func() { _ = s.Standing(chains) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	dates := s.Stats().Clients
	if len(dates) != 2 || !slices.ContainsFunc(dates, func(e Expiry) bool { return e.What == List && e.File == r.crlFile && e.From.Before(e.At) }) {
		t.Errorf("dates %+v", dates)
	}
}

// What is wrong with the files is said, and the last good ones stay in force.
func TestClientFilesRefused(t *testing.T) {
	r := newRuled(t, Require)
	r.cfg.Clients.CRLs = []string{r.crlFile}
	leaf := wish{names: []string{"x.test"}, signedBy: &r.ca}.make(t)
	gone := wish{isCA: true, lasts: -time.Minute}.make(t)
	good := func(t *testing.T) { r.trust(t, r.ca); r.revoke(t, r.ca, time.Hour) }
	good(t)
	s := r.store(t)
	client := wish{usage: clientUse, signedBy: &r.ca}.make(t)
	delta := pkix.Extension{Id: oidDelta, Critical: true, Value: must(asn1.Marshal(1))}
	for _, tt := range []struct {
		want string
		do   func(t *testing.T)
	}{
		{"no such file", func(*testing.T) { r.cfg.Clients.CA += ".none" }},
		{errNoAuthority.Error(), func(t *testing.T) { save(t, r.caFile, "") }},
		{errNoAuthority.Error(), func(t *testing.T) { r.trust(t, gone) }},
		{"is of no authority", func(t *testing.T) { r.trust(t, r.ca, leaf) }},
		{`"X509 CRL", not a certificate`, func(t *testing.T) {
			save(t, r.caFile, string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl(t, r.ca, time.Hour, nil)})))
		}},
		{"it holds no revocation list", func(t *testing.T) { save(t, r.crlFile, "-----BEGIN NOTHING-----\n") }},
		{"malformed", func(t *testing.T) { save(t, r.crlFile, "hello") }},
		{`"CERTIFICATE", not a revocation list`, func(t *testing.T) {
			save(t, r.crlFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.ca.cert.Raw})))
		}},
		{"no authority in ca_file signed it", func(t *testing.T) { r.revoke(t, r.other, time.Hour) }},
		{"not a complete list", func(t *testing.T) { save(t, r.crlFile, string(crl(t, r.ca, time.Hour, []pkix.Extension{delta}))) }},
	} {
		was := r.cfg
		tt.do(t)
		if _, err := New(r.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %q", err, tt.want)
		}
		if r.cfg.Clients.CA == was.Clients.CA {
			if _, err := s.Reload(); err == nil {
				t.Errorf("%s: put in force", tt.want)
			}
		}
		r.cfg = was
		if _, err := shake(t, s, showing(0, &client)); err != nil {
			t.Errorf("%s: the last good ones do not hold: %v", tt.want, err)
		}
		good(t)
	}
	// DER is read as well.
	save(t, r.crlFile, string(crl(t, r.ca, time.Hour, nil, client)))
	reload(t, s)
	if _, err := shake(t, s, showing(0, &client)); err == nil {
		t.Error("a list in DER has no effect")
	}
}

// The server's own error says whose fault it was.
func TestClientErrorsAreTyped(t *testing.T) {
	r := newRuled(t, Request)
	r.cfg.Clients.CRLs = []string{r.crlFile}
	client := wish{usage: clientUse, signedBy: &r.ca}.make(t)
	r.revoke(t, r.ca, time.Hour, client)
	verify := r.store(t).current.Load().config.VerifyConnection
	err := verify(tls.ConnectionState{PeerCertificates: []*x509.Certificate{client.cert}, VerifiedChains: [][]*x509.Certificate{{client.cert, r.ca.cert}}})
	if !errors.As(err, new(*tls.CertificateVerificationError)) || !errors.Is(err, errRevoked) {
		t.Errorf("%v", err)
	}
	if err := verify(tls.ConnectionState{}); err != nil {
		t.Errorf("nobody: %v", err)
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}
