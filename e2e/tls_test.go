package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	bigint "math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// overTLS before an address has connect speak TLS.
const overTLS = "tls!"

// edge is the certificate of every proxy here that does not bring its own.
var edge = sync.OnceValue(func() pair { return newPair("app.example.com", 1000*time.Hour) })

func trusting() *tls.Config { return edge().clients() }

// pair is a certificate and its key, PEM.
type pair struct{ name, cert, key string }

func newPair(name string, lasts time.Duration) pair {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: bigint.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lasts), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return pair{name, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))}
}

// clients are those who trust the certificate.
func (p pair) clients() *tls.Config {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(p.cert))
	return &tls.Config{RootCAs: pool, ServerName: p.name}
}

// put writes the two files, the key first: who looks in between finds a pair that does not fit.
func (p pair) put(t *testing.T, dir, as string) {
	t.Helper()
	write(t, filepath.Join(dir, as+".key"), p.key)
	write(t, filepath.Join(dir, as+".crt"), p.cert)
}

// secure is a setup whose two listeners speak TLS, and the folder of its certificates.
func secure(t *testing.T, more string) (setup, string) {
	t.Helper()
	dir := t.TempDir()
	edge().put(t, dir, "edge")
	keys := fmt.Sprintf(", tls: {dir: %q%s}", dir, more)
	return setup{ofWeb: keys, ofRaw: keys}, dir
}

func TestG3TLSKeepAlivePostsThroughAStop(t *testing.T) {
	c, _ := secure(t, "")
	repeat(t, stop{clients: 32, load: keepAlivePosts, warm: 300, tls: true, setup: c})
}

func TestG3TLSConnectionPerRequestThroughAStop(t *testing.T) {
	c, _ := secure(t, "")
	repeat(t, stop{clients: 4, load: getsOfTheirOwn, warm: 100, tls: true, setup: c})
}

func TestG3TLSUpgradedTunnelsThroughAStop(t *testing.T) {
	c, _ := secure(t, "")
	repeat(t, stop{clients: 16, load: upgradedEchoes, tunnels: true, warm: 300, tls: true, setup: c})
}

func TestG3TLSRawTunnelsThroughAStop(t *testing.T) {
	c, _ := secure(t, "")
	repeat(t, stop{clients: 16, load: rawEchoes, tunnels: true, raw: true, warm: 300, tls: true, setup: c})
}

// get asks by TLS and returns the connection, which stays open.
func getOver(t *testing.T, addr string, cfg *tls.Config, request string) (*wire, answer) {
	t.Helper()
	w, err := connect(addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	c := tls.Client(w.Conn, cfg)
	if err := c.Handshake(); err != nil {
		t.Fatalf("handshake: %v", err)
	}
	w = &wire{c, bufio.NewReader(c)}
	a, err := w.ask(request)
	if err != nil {
		t.Fatal(err)
	}
	return w, a
}

func peerName(w *wire) string {
	return w.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName
}

// TestG7CertificatesChangeUnderConnections: a new certificate is for who comes next; an open
// connection goes on with the old one, and a bad one changes nothing but health.
func TestG7CertificatesChangeUnderConnections(t *testing.T) {
	c, dir := secure(t, "")
	s := serve(t, newUpstream(t), c)
	old, a := getOver(t, s.web, trusting(), get("/each"))
	if a.status != 200 {
		t.Fatalf("status %d", a.status)
	}
	next := newPair("app.example.com", 2000*time.Hour)
	next.put(t, dir, "edge")
	eventually(t, "the new certificate", func() bool {
		raw, err := net.DialTimeout("tcp", s.web, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		_ = raw.SetDeadline(time.Now().Add(patience))
		return tls.Client(raw, next.clients()).Handshake() == nil
	})
	if a, err := old.ask(get("/each")); err != nil || a.status != 200 {
		t.Errorf("the connection from before: %d, %v", a.status, err)
	}
	const failed = `sluice_tls_certificate_reloads_total{listener="web",result="failed"}`
	for i, bad := range []struct{ name, cert, key, want string }{
		{"a key of another", next.cert, edge().key, "does not match"},
		{"expired", newPair("app.example.com", -time.Minute).cert, "", "expired"},
		{"not PEM", "hello", next.key, "PEM"},
	} {
		if bad.key == "" {
			late := newPair("app.example.com", -time.Minute)
			bad.cert, bad.key = late.cert, late.key
		}
		write(t, filepath.Join(dir, "edge.key"), bad.key)
		write(t, filepath.Join(dir, "edge.crt"), bad.cert)
		eventually(t, bad.name+" in the status", func() bool {
			_, body := s.probe(t, "/status")
			n, _ := s.metric(t, failed) // the other listener, which has the same files, may have met them half written
			return n > float64(i) && strings.Contains(body, bad.want) && strings.Contains(body, `"DEGRADED"`)
		})
		if code, _ := s.probe(t, "/readyz"); code != 200 {
			t.Errorf("%s: readyz %d", bad.name, code)
		}
		getOver(t, s.web, next.clients(), get("/each"))
	}
	next.put(t, dir, "edge")
	eventually(t, "health to recover", func() bool { _, body := s.probe(t, "/status"); return !strings.Contains(body, `"DEGRADED"`) })
}

// TestTLSNames: the certificate goes by the server name, and a request for a host that the
// certificate does not stand for is sent back, even if a route would take it.
func TestTLSNames(t *testing.T) {
	c, dir := secure(t, "")
	other := newPair("other.test", 1000*time.Hour)
	other.put(t, dir, "other")
	s := serve(t, newUpstream(t), c)
	w, _ := getOver(t, s.web, other.clients(), get("/each"))
	if got := peerName(w); got != "other.test" {
		t.Errorf("the certificate of %q came", got)
	}
	for host, want := range map[string]int{"other.test": 200, "OTHER.test:443": 200, "app.example.com": 421, "third.test": 421} {
		if a, err := w.ask("GET /each HTTP/1.1\r\nHost: " + host + "\r\n\r\n"); err != nil || a.status != want {
			t.Errorf("Host %s: %d, %v; want %d", host, a.status, err, want)
		}
	}
}

// TestTLSResumesAcrossARestart: with a file of ticket keys a session outlives the process.
func TestTLSResumesAcrossARestart(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "tickets")
	write(t, keys, strings.Repeat("0123456789abcdef", 4)+"\n")
	c, _ := secure(t, fmt.Sprintf(", ticket_keys_file: %q", keys))
	up := newUpstream(t)
	cfg := trusting()
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	for i, want := range []bool{false, true} {
		s := serve(t, up, c)
		w, _ := getOver(t, s.web, cfg, get("/each"))
		if got := w.Conn.(*tls.Conn).ConnectionState().DidResume; got != want {
			t.Errorf("process %d: resumed %v, want %v", i+1, got, want)
		}
	}
}

// TestTLSHandshakesAreBounded: half of one, and who speaks HTTP in the clear.
func TestTLSHandshakesAreBounded(t *testing.T) {
	c, _ := secure(t, "")
	c.extra = "timeouts: {head: 300ms}"
	s := serve(t, newUpstream(t), c)
	half, err := net.Dial("tcp", s.web)
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	_ = half.SetDeadline(time.Now().Add(patience))
	if _, err := half.Write([]byte{22, 3, 1, 2, 0, 1, 0}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(half); err != nil {
		t.Errorf("half a ClientHello: %v", err)
	}
	w, err := connect(s.web, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	if a, err := w.ask(get("/each")); err != nil || a.status != 400 || !strings.Contains(a.body, "TLS") {
		t.Errorf("in the clear: %d %q, %v", a.status, a.body, err)
	}
	for result, want := range map[string]float64{"timeout": 1, "not_tls": 1} {
		if n, _ := s.metric(t, fmt.Sprintf("sluice_tls_handshakes_total{listener=%q,result=%q}", "web", result)); n != want {
			t.Errorf("%s: %v counted, want %v", result, n, want)
		}
	}
}

// TestTLSValidated: a start with certificates that cannot serve is refused, and says why.
func TestTLSValidated(t *testing.T) {
	c, dir := secure(t, "")
	if err := os.Remove(filepath.Join(dir, "edge.key")); err != nil {
		t.Fatal(err)
	}
	c.policy = policyFor("127.0.0.1:1", "127.0.0.1:1", "v1")
	at := prepare(t, c)
	for _, name := range []string{"validate", "run"} {
		out, code := command(t, name, "--config", filepath.Join(at, "sluice.yaml"))
		if code == 0 || !strings.Contains(out, "edge.key") || !strings.Contains(out, "listeners[0].tls") {
			t.Errorf("%s: exit %d, %s", name, code, out)
		}
	}
}
