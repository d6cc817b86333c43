package proxy_test

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/edgetls"
	"github.com/sluiceproxy/sluice/proxy/engine/tlslayer"
)

const patience = 20 * time.Second

// signer is an authority of the tests.
type signer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newSigner(t *testing.T) *signer {
	s := &signer{}
	c := s.sign(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)})
	return &signer{c.Leaf, c.PrivateKey.(crypto.Signer)}
}

func (s *signer) sign(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.Subject, template.NotBefore = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: "test"}, time.Now().Add(-2*time.Hour)
	parent, by := s.cert, s.key
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// server makes a certificate for a name, or for 127.0.0.1.
func (s *signer) server(t *testing.T, name string, lasts time.Duration) tls.Certificate {
	template := &x509.Certificate{NotAfter: time.Now().Add(lasts), DNSNames: []string{name}}
	if ip := net.ParseIP(name); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	return s.sign(t, template)
}

func (s *signer) file(t *testing.T, name string) string {
	t.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Raw})
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// origin is an upstream that does with each connection what it is told.
type origin struct {
	addr string
	ln   net.Listener
	wg   sync.WaitGroup

	mu    sync.Mutex // guards what follows
	conns []net.Conn
	seen  []tls.ConnectionState // of handshakes
	heads []*http.Request
}

func newOrigin(t *testing.T, serve func(o *origin, c net.Conn)) *origin {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{addr: ln.Addr().String(), ln: ln}
	o.wg.Add(1)
	go func() { // ends with the listener
		defer o.wg.Done()
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			o.mu.Lock()
			o.conns = append(o.conns, c)
			o.mu.Unlock()
			o.wg.Add(1)
			go func() { // ends with the connection
				defer o.wg.Done()
				defer c.Close()
				serve(o, c)
			}()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		o.mu.Lock()
		for _, c := range o.conns {
			c.Close()
		}
		o.mu.Unlock()
		o.wg.Wait()
	})
	return o
}

// secure does a handshake; nil: it failed.
func (o *origin) secure(c net.Conn, cfg *tls.Config) *tls.Conn {
	s := tls.Server(c, cfg)
	if s.Handshake() != nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, s.ConnectionState())
	return s
}

// answers serves requests, each with answer, until it says no more.
func (o *origin) answers(c net.Conn, answer func(w io.Writer, r *http.Request) (more bool)) {
	for br := bufio.NewReader(c); ; {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		o.mu.Lock()
		o.heads = append(o.heads, r)
		o.mu.Unlock()
		if !answer(c, r) {
			return
		}
	}
}

// echo answers with the body, and keeps the connection.
func echo(w io.Writer, r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	_, err = fmt.Fprintf(w, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return err == nil
}

// echoing is a TLS origin that echoes.
func echoing(cfg *tls.Config) func(o *origin, c net.Conn) {
	return func(o *origin, c net.Conn) {
		if s := o.secure(c, cfg); s != nil {
			o.answers(s, echo)
		}
	}
}

func (o *origin) handshakes() []tls.ConnectionState {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]tls.ConnectionState(nil), o.seen...)
}

func (o *origin) requests() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.heads)
}

// outward is a proxy whose upstreams may speak TLS.
type outward struct {
	*proxy.Server
	t       *testing.T
	profile *edgetls.Outgoing
	caFile  string
	version int
}

func newOutward(t *testing.T, newDriver driverMaker, ca *signer, own edgetls.Pair) *outward {
	t.Helper()
	p := &outward{t: t, caFile: ca.file(t, filepath.Join(t.TempDir(), "ca.pem"))}
	var err error
	if p.profile, err = edgetls.NewOutgoing(edgetls.OutgoingConfig{CA: p.caFile, Pair: own}); err != nil {
		t.Fatal(err)
	}
	p.Server = proxy.NewServer(proxy.ServerConfig{
		Config: proxy.Config{UpstreamTLS: map[string]proxy.UpstreamTLS{"internal": p.profile}, Listeners: []proxy.ListenerConfig{
			{Name: "web", Address: "127.0.0.1:0"}, {Name: "db", Address: "127.0.0.1:0", Protocol: proxy.TCP}}},
		Driver: tlslayer.New(newDriver(t, 1), tlslayer.Config{}), Tracker: drain.New(drain.Config{}),
	})
	if err := p.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// apply puts a policy in force whose one cluster is that.
func (p *outward) apply(cluster string, args ...any) {
	p.t.Helper()
	doc, err := policy.Parse("policy.yaml", []byte("clusters: {app: "+fmt.Sprintf(cluster, args...)+`}
routes: [{name: all, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}]
tcp_routes: [{listener: db, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}]
`))
	if err != nil {
		p.t.Fatal(err)
	}
	p.version++
	if err := p.Apply(context.Background(), fmt.Sprint(p.version), doc); err != nil {
		p.t.Fatal(err)
	}
	if err := p.Admit(); err != nil {
		p.t.Fatal(err)
	}
}

// dial is a connection to a listener with a deadline.
func (p *outward) dial(listener string) net.Conn {
	p.t.Helper()
	c, err := net.Dial("tcp", p.Addr(listener).String())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// post sends a request on a connection of its own.
func (p *outward) post(body string) (status int, got string, err error) {
	p.t.Helper()
	c := p.dial("web")
	defer c.Close()
	if _, err := fmt.Fprintf(c, "POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		return 0, "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, "", err
	}
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// echoes fails the test unless a request comes through.
func (p *outward) echoes(body string) {
	p.t.Helper()
	if status, got, err := p.post(body); err != nil || status != 200 || got != body {
		p.t.Fatalf("%d, %d bytes of %d, %v: %.200s", status, len(got), len(body), err, strings.TrimSpace(got))
	}
}

func (p *outward) endpoint(addr string) (found proxy.EndpointStats) {
	for _, e := range p.Stats().Upstreams {
		if e.Endpoint == addr {
			found = e
		}
	}
	return found
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come", what)
		}
	}
}
