package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// veiled stands before an upstream and ends TLS: the addresses of its own web and raw.
func veiled(t *testing.T, up *upstream, cert tls.Certificate) *upstream {
	t.Helper()
	v := &upstream{}
	var running sync.WaitGroup
	var mu sync.Mutex // guards conns
	var conns []net.Conn
	t.Cleanup(func() { // when the listeners are closed
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	keep := func(c net.Conn) {
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, c)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}}
	for to, addr := range map[string]*string{up.web: &v.web, up.raw: &v.raw} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		*addr = ln.Addr().String()
		running.Go(func() { // ends with ln
			for {
				down, err := ln.Accept()
				if err != nil {
					return
				}
				keep(down)
				running.Go(func() { // ends with either connection
					defer down.Close()
					c := tls.Server(down, cfg)
					if c.Handshake() != nil {
						return
					}
					behind, err := net.Dial("tcp", to)
					if err != nil {
						return
					}
					keep(behind)
					defer behind.Close()
					var back sync.WaitGroup
					back.Go(func() { pour(c, behind); _ = c.CloseWrite() }) // ends with behind
					pour(behind, c)
					_ = behind.(*net.TCPConn).CloseWrite()
					back.Wait()
				})
			}
		})
		t.Cleanup(func() { _ = ln.Close() })
	}
	return v
}

func pour(to, from net.Conn) {
	for b := make([]byte, 32<<10); ; {
		n, err := from.Read(b)
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// server makes a certificate for 127.0.0.1.
func (a *authority) server(t *testing.T, lasts time.Duration) tls.Certificate {
	t.Helper()
	cert, key := a.sign(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(lasts), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// outward is a setup whose clusters are secured, and the file of its authorities.
func outward(t *testing.T, up *upstream, ca *authority) (c setup, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "up.pem")
	write(t, file, ca.text())
	c.extra = fmt.Sprintf("upstream_tls: [{name: internal, ca_file: %q}]", file)
	c.policy = strings.NewReplacer(fmt.Sprintf("%q]", up.web), fmt.Sprintf("%q], tls: internal", up.web),
		fmt.Sprintf("%q]", up.raw), fmt.Sprintf("%q], tls: {profile: internal}", up.raw)).Replace(policyFor(up.web, up.raw, "v1"))
	return c, file
}

// TestUpstreamTLSFromEndToEnd: with and without TLS before it, through requests and tunnels; and
// authorities that change.
func TestUpstreamTLSFromEndToEnd(t *testing.T) {
	ca, other := newAuthority(t, "upstreams"), newAuthority(t, "others")
	plain := newUpstream(t)
	up := veiled(t, plain, ca.server(t, time.Hour))
	c, file := outward(t, up, ca)
	s := serve(t, plain, c)
	body := strings.Repeat("x", 300_000)
	post := fmt.Sprintf("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if a, err := once(s.web, post); err != nil || a.status != 200 || a.body != body {
		t.Fatalf("%d, %d bytes, %v", a.status, len(a.body), err)
	}
	w, err := connect(s.raw, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	_, _ = w.Write([]byte("ping"))
	back := make([]byte, 4)
	if _, err := io.ReadFull(w.Conn, back); err != nil || string(back) != "ping" {
		t.Errorf("a tunnel: %q, %v", back, err)
	}
	write(t, file, other.text())
	eventually(t, "the upstream to be refused", func() bool {
		a, err := once(s.web, get("/each"))
		return err == nil && a.status == 502
	})
	if n, _ := s.metric(t, `sluice_upstream_tls_errors_total{cluster="app",reason="certificate"}`); n < 1 {
		t.Errorf("%v certificates refused by the metric", n)
	}
	write(t, file, "hello")
	eventually(t, "the fault in the status", func() bool {
		_, body := s.probe(t, "/status")
		return strings.Contains(body, "upstream_tls internal") && strings.Contains(body, `"DEGRADED"`)
	})
	write(t, file, ca.text())
	eventually(t, "the upstream to be taken", func() bool {
		a, err := once(s.web, get("/each"))
		return err == nil && a.status == 200
	})
}

// TestG3UpstreamTLSThroughAStop: the stop loses nothing, with TLS on both sides.
func TestG3UpstreamTLSThroughAStop(t *testing.T) {
	ca := newAuthority(t, "upstreams")
	plain := newUpstream(t)
	up := veiled(t, plain, ca.server(t, time.Hour))
	c, _ := secure(t, "")
	o, _ := outward(t, up, ca)
	c.extra, c.policy = o.extra, o.policy
	repeat(t, stop{clients: 16, load: keepAlivePosts, warm: 200, tls: true, setup: c})
}

// TestUpstreamTLSValidated: what cannot be is said before anything runs.
func TestUpstreamTLSValidated(t *testing.T) {
	ca, up := newAuthority(t, "upstreams"), &upstream{web: "127.0.0.1:1", raw: "127.0.0.1:2"}
	c, file := outward(t, up, ca)
	good := c.extra
	for want, spoil := range map[string]func(){
		`there is no profile "internal" (upstream_tls); did you mean "internals"?`: func() { c.extra = strings.Replace(good, "name: internal", "name: internals", 1) },
		"upstream_tls[0]: authorities":                                             func() { write(t, file, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY"}))) },
		"upstream_tls[0].key_file: is required":                                    func() { c.extra = strings.Replace(good, "ca_file", "cert_file: x, ca_file", 1) },
		`unknown key "ca_file" in clusters.app`: func() {
			c.policy = strings.Replace(c.policy, "tls: internal", "tls: {profile: internal, ca_file: x}", 1)
		},
	} {
		spoil()
		at := prepare(t, c)
		if out, code := command(t, "validate", "--config", filepath.Join(at, "sluice.yaml")); code != 2 || !strings.Contains(out, want) {
			t.Errorf("exit %d, %s\nwant %s", code, out, want)
		}
		c, file = outward(t, up, ca)
		good = c.extra
	}
}
