package e2e

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	bigint "math/big"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates of clients, and takes them back.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	next int64
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{next: 1}
	a.cert, a.key = a.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign})
	return a
}

func (a *authority) sign(t *testing.T, template *x509.Certificate) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore = bigint.NewInt(a.next), time.Now().Add(-2*time.Hour)
	a.next++
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// client makes a certificate for a SPIFFE ID.
func (a *authority) client(t *testing.T, id string, lasts time.Duration) tls.Certificate {
	t.Helper()
	uri, err := url.Parse(id)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := a.sign(t, &x509.Certificate{URIs: []*url.URL{uri}, NotAfter: time.Now().Add(lasts), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func (a *authority) text() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

// revoke is a list of what was taken back.
func (a *authority) revoke(t *testing.T, all ...tls.Certificate) string {
	t.Helper()
	l := &x509.RevocationList{Number: bigint.NewInt(time.Now().UnixNano()), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(1000 * time.Hour)}
	for _, c := range all {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.Leaf.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

// showing is a client of the proxy with that certificate, whoever is asked for; none: nil.
func showing(c *tls.Certificate) *tls.Config {
	cfg := trusting()
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	if c != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c, nil }
	}
	return cfg
}

// ask does a request on a connection of its own. A handshake that the server refuses is seen in
// TLS 1.3 with the first read only.
func askOver(t *testing.T, addr string, cfg *tls.Config, request string) (a answer, resumed bool, err error) {
	t.Helper()
	w, err := connect(addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	c := tls.Client(w.Conn, cfg)
	if err := c.Handshake(); err != nil {
		return a, false, err
	}
	a, err = (&wire{c, bufio.NewReader(c)}).ask(request)
	return a, c.ConnectionState().DidResume, err
}

// asking is a setup whose listeners ask clients for certificates; files holds ca.pem and crl.pem.
func asking(t *testing.T, mode string, ca *authority) (c setup, files string) {
	t.Helper()
	files = t.TempDir()
	write(t, filepath.Join(files, "ca.pem"), ca.text())
	write(t, filepath.Join(files, "crl.pem"), ca.revoke(t))
	c, _ = secure(t, fmt.Sprintf(", client_certificates: {mode: %s, ca_file: %q, crl_files: [%q]}", mode, filepath.Join(files, "ca.pem"), filepath.Join(files, "crl.pem")))
	c.env = []string{"SLUICE_AUTHENTICATE_CLIENT_CERTIFICATE_USER=uri"}
	return c, files
}

// certPolicy has routes for whoever shows a certificate, for one of them, and for all.
func certPolicy(up *upstream, pinned tls.Certificate) string {
	sum := sha256.Sum256(pinned.Leaf.Raw)
	return fmt.Sprintf(`clusters:
  app: {endpoints: [%q]}
  echo: {endpoints: [%q]}
routes:
- {name: open, path: {prefix: /}, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}
- {name: known, path: {prefix: /known}, cluster: app, authenticate: [client_certificate, api_key], policy: [{allow: {and: [{authenticated_user: true}]}}]}
- {name: prod, path: {prefix: /prod}, cluster: app, authenticate: [client_certificate], policy: [{allow: {and: [{user: {starts_with: spiffe://prod/}}]}}]}
- {name: pinned, path: {prefix: /pinned}, cluster: app, policy: [{allow: {and: [{client_certificate: {fingerprint: %s}}]}}]}
tcp_routes: [{listener: raw, cluster: echo, policy: [{allow: {and: [{client_certificate: {uri: {starts_with: "spiffe://prod/"}}}]}}]}]
`, up.web, up.raw, hex.EncodeToString(sum[:]))
}

func TestClientCertificatesByRoute(t *testing.T) {
	ca, up := newAuthority(t, "clients"), newUpstream(t)
	c, _ := asking(t, "request", ca)
	prod, test := ca.client(t, "spiffe://prod/a", time.Hour), ca.client(t, "spiffe://test/b", time.Hour)
	c.policy = certPolicy(up, test)
	s := serve(t, up, c)
	for _, tt := range []struct {
		show   *tls.Certificate
		path   string
		fields []string
		status int
		user   string
	}{
		{nil, "/each", nil, 200, ""},
		{nil, "/known", nil, 401, ""},
		{nil, "/known", []string{"X-Api-Key: " + goodKey}, 200, "ada"},
		{nil, "/known", []string{"X-Sluice-User: spiffe://prod/a", "X-Forwarded-Client-Cert: Hash=1"}, 401, ""},
		{nil, "/prod", nil, 401, ""},
		{nil, "/pinned", nil, 401, ""},
		{&prod, "/each", []string{"X-Sluice-User: root"}, 200, ""},
		{&prod, "/known", []string{"X-Sluice-User: root"}, 200, "spiffe://prod/a"},
		{&prod, "/prod", nil, 200, "spiffe://prod/a"},
		{&prod, "/pinned", nil, 403, ""},
		{&test, "/known", nil, 200, "spiffe://test/b"},
		{&test, "/prod", nil, 403, ""},
		{&test, "/pinned", nil, 200, ""},
	} {
		cfg := showing(tt.show)
		for _, want := range []bool{false, true} { // the session that is resumed is of the same client
			a, resumed, err := askOver(t, s.web, cfg, get(tt.path, tt.fields...))
			if err != nil || a.status != tt.status || resumed != want {
				t.Errorf("%s with %v: %d, resumed %v, %v; want %d", tt.path, tt.fields, a.status, resumed, err, tt.status)
				continue
			}
			if a.status == 200 && !strings.HasSuffix(a.body, "by "+tt.user) {
				t.Errorf("%s with %v: %q, want the user %q", tt.path, tt.fields, a.body, tt.user)
			}
			if a.status == 401 && a.head.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: 401 without a challenge", tt.path)
			}
		}
	}
	// A field is forwarded where it is no credential of ours, and hidden where it may be one.
	for path, want := range map[string]string{"/prod/field": "Bearer theirs", "/known/field": ""} {
		if a, _, err := askOver(t, s.web, showing(&prod), get(path, "Authorization: Bearer theirs")); err != nil || a.status != 200 {
			t.Errorf("%s: %d, %v", path, a.status, err)
		}
		if v := up.log(path); len(v) != 1 || v[0].head.Get("Authorization") != want {
			t.Errorf("%s: the upstream saw %v, want Authorization %q", path, v, want)
		}
	}
	// A TCP listener has rules about certificates, too.
	for show, want := range map[*tls.Certificate]bool{nil: false, &test: false, &prod: true} {
		w, err := connect(s.raw, patience)
		if err != nil {
			t.Fatal(err)
		}
		raw := tls.Client(w.Conn, showing(show))
		buf := make([]byte, 4)
		if err = raw.Handshake(); err == nil {
			_, _ = raw.Write([]byte("ping"))
			_, err = raw.Read(buf)
		}
		if got := err == nil && string(buf) == "ping"; got != want {
			t.Errorf("a tunnel: %v (%v), want %v", got, err, want)
		}
		_ = w.Close()
	}
}

// TestClientCertificatesRefused: what is sent has to be good, in either mode; and only what is asked
// for can be missing.
func TestClientCertificatesRefused(t *testing.T) {
	ca, other, up := newAuthority(t, "clients"), newAuthority(t, "others"), newUpstream(t)
	good, late, stranger := ca.client(t, "spiffe://prod/a", time.Hour), ca.client(t, "spiffe://prod/b", -time.Minute), other.client(t, "spiffe://prod/a", time.Hour)
	for _, mode := range []string{"request", "require"} {
		c, _ := asking(t, mode, ca)
		s := serve(t, up, c)
		for _, tt := range []struct {
			name string
			show *tls.Certificate
			good bool
		}{{"none", nil, mode == "request"}, {"good", &good, true}, {"expired", &late, false}, {"of another authority", &stranger, false}} {
			a, _, err := askOver(t, s.web, showing(tt.show), get("/each"))
			if got := err == nil && a.status == 200; got != tt.good {
				t.Errorf("%s, %s: %d, %v", mode, tt.name, a.status, err)
			}
		}
		if n, _ := s.metric(t, `sluice_tls_handshakes_total{listener="web",result="client_certificate"}`); n != 2 {
			t.Errorf("%s: %v certificates were refused by the metric, want 2", mode, n)
		}
		if n, _ := s.metric(t, `sluice_tls_client_expiry_timestamp_seconds{listener="web",of="revocation_list"}`); n < float64(time.Now().Unix()) {
			t.Errorf("%s: the list expires at %v", mode, n)
		}
	}
}

// TestClientCertificatesAreTakenBack: a list that changes counts at once: for handshakes, for
// sessions that are resumed, and for connections that are open.
func TestClientCertificatesAreTakenBack(t *testing.T) {
	ca, up := newAuthority(t, "clients"), newUpstream(t)
	c, files := asking(t, "require", ca)
	bad, good := ca.client(t, "spiffe://prod/bad", time.Hour), ca.client(t, "spiffe://prod/good", time.Hour)
	c.policy = certPolicy(up, bad)
	s := serve(t, up, c)
	badly, well := showing(&bad), showing(&good)
	open, a := getOver(t, s.web, badly, get("/prod"))
	still, b := getOver(t, s.web, well, get("/prod"))
	if a.status != 200 || b.status != 200 {
		t.Fatalf("status %d and %d", a.status, b.status)
	}
	write(t, filepath.Join(files, "crl.pem"), ca.revoke(t, bad))
	eventually(t, "the open connection to be refused", func() bool {
		a, err := open.ask(get("/each"))
		return err == nil && a.status == 403 && strings.Contains(a.body, "not valid any more")
	})
	if a, resumed, err := askOver(t, s.web, badly, get("/prod")); err == nil {
		t.Errorf("with a revoked certificate: %d, resumed %v", a.status, resumed)
	}
	if a, err := still.ask(get("/prod")); err != nil || a.status != 200 {
		t.Errorf("the connection of another: %d, %v", a.status, err)
	}
	if a, resumed, err := askOver(t, s.web, well, get("/prod")); err != nil || a.status != 200 || !resumed {
		t.Errorf("the session of another: %d, resumed %v, %v", a.status, resumed, err)
	}
	// A list that cannot be used changes nothing but health.
	write(t, filepath.Join(files, "crl.pem"), newAuthority(t, "others").revoke(t))
	eventually(t, "the fault in the status", func() bool {
		_, body := s.probe(t, "/status")
		return strings.Contains(body, "no authority in ca_file signed it") && strings.Contains(body, `"DEGRADED"`)
	})
	if _, _, err := askOver(t, s.web, badly, get("/prod")); err == nil {
		t.Error("a list that is refused gave a certificate back")
	}
}
