package proxy_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/edgetls"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// Whatever the version, bodies come through whole, one connection serves many requests, and the next
// one resumes its session.
func TestUpstreamTLS(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		onEveryDriver(t, func(t *testing.T, newDriver driverMaker) {
			ca := newSigner(t)
			cfg := &tls.Config{Certificates: []tls.Certificate{ca.server(t, "up.test", time.Hour)}, MaxVersion: version, NextProtos: []string{"h2", "http/1.1"}}
			o := newOrigin(t, echoing(cfg))
			p := newOutward(t, newDriver, ca, edgetls.Pair{})
			p.apply("{endpoints: [%q], tls: {profile: internal, server_name: up.test}}", o.addr)
			for _, size := range []int{0, 1, 100, 1 << 20, 3} {
				p.echoes(strings.Repeat("x", size))
			}
			hs := o.handshakes()
			if len(hs) != 1 || hs[0].ServerName != "up.test" || hs[0].NegotiatedProtocol != "http/1.1" || hs[0].Version != version {
				t.Fatalf("handshakes %+v", hs)
			}
			o.mu.Lock()
			o.conns[0].Close()
			o.mu.Unlock()
			eventually(t, "the end of the pooled connection", func() bool { return p.Stats().UpstreamsOpen == 0 })
			p.echoes("again")
			if hs := o.handshakes(); len(hs) != 2 || !hs[1].DidResume {
				t.Errorf("%d handshakes, the last did not resume", len(hs))
			}
			if e := p.endpoint(o.addr); e.Connects != 2 || e.ConnectErrs != 0 || e.TLSErrs != 0 {
				t.Errorf("counted %+v", e)
			}
		})
	}
}

// A name is always verified, if only the address of the endpoint.
func TestUpstreamTLSNames(t *testing.T) {
	onEveryDriver(t, func(t *testing.T, newDriver driverMaker) {
		ca := newSigner(t)
		byAddress := newOrigin(t, echoing(&tls.Config{Certificates: []tls.Certificate{ca.server(t, "127.0.0.1", time.Hour)}}))
		byName := newOrigin(t, echoing(&tls.Config{Certificates: []tls.Certificate{ca.server(t, "up.test", time.Hour)}}))
		p := newOutward(t, newDriver, ca, edgetls.Pair{})
		p.apply("{endpoints: [%q], tls: internal}", byAddress.addr)
		p.echoes("by address")
		p.apply("{endpoints: [%q], tls: internal}", byName.addr)
		if status, body, err := p.post("secret"); status != 502 || err != nil {
			t.Errorf("a certificate for another name: %d %q, %v", status, body, err)
		}
	})
}

// What is not the upstream gets no byte of a request; another endpoint does.
func TestUpstreamTLSRefused(t *testing.T) {
	ca, other := newSigner(t), newSigner(t)
	serve := func(c tls.Certificate) func(o *origin, c net.Conn) {
		return echoing(&tls.Config{Certificates: []tls.Certificate{c}})
	}
	for _, tt := range []struct {
		name    string
		serve   func(o *origin, c net.Conn)
		badCert bool
	}{
		{"another name", serve(ca.server(t, "other.test", time.Hour)), true},
		{"another authority", serve(other.server(t, "up.test", time.Hour)), true},
		{"expired", serve(ca.server(t, "up.test", -time.Minute)), true},
		{"plain text first", func(o *origin, c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
			_, _ = io.Copy(io.Discard, c)
		}, false},
		{"plain text in answer", func(o *origin, c net.Conn) { o.answers(c, echo) }, false},
		{"silence", func(_ *origin, c net.Conn) { _, _ = io.Copy(io.Discard, c) }, false},
		{"a close", func(_ *origin, c net.Conn) { _, _ = c.Read(make([]byte, 10)) }, false},
		{"half an answer", func(_ *origin, c net.Conn) {
			_, _ = c.Write([]byte{22, 3, 3, 0, 100, 2})
			_, _ = c.Read(make([]byte, 1000))
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onEveryDriver(t, func(t *testing.T, newDriver driverMaker) {
				bad := newOrigin(t, tt.serve)
				good := newOrigin(t, serve(ca.server(t, "up.test", time.Hour)))
				p := newOutward(t, newDriver, ca, edgetls.Pair{})
				const cluster = "{endpoints: [%s], connect_timeout: 500ms, outlier: {off: true}, tls: {profile: internal, server_name: up.test}}"
				p.apply(cluster, bad.addr)
				began := time.Now()
				status, body, err := p.post("secret")
				if status != 502 || err != nil || !strings.Contains(body, "no connection to the upstream") {
					t.Errorf("%d %q, %v", status, body, err)
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("after %v", took)
				}
				e := p.endpoint(bad.addr)
				if e.ConnectErrs != 1 || e.TLSErrs != 1 || e.BadCerts == 1 != tt.badCert || e.Connects != 0 {
					t.Errorf("counted %+v", e)
				}
				p.apply(cluster, bad.addr+", "+good.addr)
				for range 4 {
					p.echoes("for the other")
				}
				if n := bad.requests(); n != 0 {
					t.Errorf("%d requests came to the wrong one", n)
				}
				if e := p.endpoint(bad.addr); e.TLSErrs < 2 {
					t.Errorf("it was not tried: %+v", e)
				}
				eventually(t, "the end of what failed", func() bool { return p.Stats().UpstreamsOpen == int64(len(good.handshakes())) })
			})
		})
	}
}

// Without the upstream's goodbye, anybody may have cut a body that lasts until the close.
func TestUpstreamTLSTruncation(t *testing.T) {
	for _, tt := range []struct {
		name, head string
		goodbye    bool
		whole      bool
	}{
		{"until close, goodbye", "", true, true},
		{"until close, none", "", false, false},
		{"with a length, none", "Content-Length: 4\r\n", false, true},
		{"short of its length, goodbye", "Content-Length: 5\r\n", true, false},
		{"short of its chunks, goodbye", "Transfer-Encoding: chunked\r\n", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onEveryDriver(t, func(t *testing.T, newDriver driverMaker) {
				ca := newSigner(t)
				cfg := &tls.Config{Certificates: []tls.Certificate{ca.server(t, "127.0.0.1", time.Hour)}}
				o := newOrigin(t, func(o *origin, c net.Conn) {
					s := o.secure(c, cfg)
					if s == nil {
						return
					}
					o.answers(s, func(w io.Writer, r *http.Request) bool {
						_, _ = io.Copy(io.Discard, r.Body)
						body := "body"
						if strings.Contains(tt.head, "chunked") {
							body = "4\r\nbody\r\n"
						}
						_, _ = fmt.Fprintf(w, "HTTP/1.1 200 OK\r\n%s\r\n%s", tt.head, body)
						return false
					})
					if tt.goodbye {
						_ = s.CloseWrite()
					}
				})
				p := newOutward(t, newDriver, ca, edgetls.Pair{})
				p.apply("{endpoints: [%q], tls: internal}", o.addr)
				_, body, err := p.post("x")
				if whole := err == nil && body == "body"; whole != tt.whole {
					t.Errorf("%q, %v; want whole: %v", body, err, tt.whole)
				}
			})
		})
	}
}

// An answer that nobody asked for is not the answer to the next request, not even when it came in one
// read with the one before.
func TestUpstreamTLSAnswersTwice(t *testing.T) {
	onEveryDriver(t, func(t *testing.T, newDriver driverMaker) {
		ca := newSigner(t)
		cfg := &tls.Config{Certificates: []tls.Certificate{ca.server(t, "127.0.0.1", time.Hour)}}
		o := newOrigin(t, func(o *origin, c net.Conn) {
			one := &oneWrite{Conn: c}
			s := o.secure(one, cfg)
			if s == nil {
				return
			}
			o.answers(s, func(w io.Writer, r *http.Request) bool {
				one.gather = true
				_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine")
				_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
				return one.flush() == nil
			})
		})
		p := newOutward(t, newDriver, ca, edgetls.Pair{})
		p.apply("{endpoints: [%q], tls: internal}", o.addr)
		// Pipelined: the second goes out within the call that the first answer ended in.
		c := p.dial("web")
		for range 3 {
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		}
		br := bufio.NewReader(c)
		for i := range 3 {
			resp, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(resp.Body); string(b) != "mine" || err != nil {
				t.Errorf("answer %d: %q, %v", i, b, err)
			}
		}
	})
}

// oneWrite gathers records and sends them at once.
type oneWrite struct {
	net.Conn
	gather bool
	held   []byte
}

func (o *oneWrite) Write(b []byte) (int, error) {
	if !o.gather {
		return o.Conn.Write(b)
	}
	o.held = append(o.held, b...)
	return len(b), nil
}

func (o *oneWrite) flush() error {
	_, err := o.Conn.Write(o.held)
	o.gather, o.held = false, nil
	return err
}

// A connection is for what it was secured with: not after the policy says otherwise, nor after the
// authorities changed.
func TestUpstreamTLSChanges(t *testing.T) {
	onEveryDriver(t, func(t *testing.T, newDriver driverMaker) {
		ca, next := newSigner(t), newSigner(t)
		cfg := &tls.Config{Certificates: []tls.Certificate{ca.server(t, "127.0.0.1", time.Hour)}}
		plain := 0
		o := newOrigin(t, func(o *origin, c net.Conn) { // takes both
			br := bufio.NewReader(c)
			first, err := br.Peek(1)
			if err != nil {
				return
			}
			peeked := struct {
				io.Reader
				net.Conn
			}{br, c}
			if first[0] == 22 {
				if s := o.secure(replay{c, br}, cfg); s != nil {
					o.answers(s, echo)
				}
				return
			}
			o.mu.Lock()
			plain++
			o.mu.Unlock()
			o.answers(replay{peeked.Conn, peeked.Reader}, echo)
		})
		counts := func() (secured, clear int) {
			o.mu.Lock()
			defer o.mu.Unlock()
			return len(o.seen), plain
		}
		p := newOutward(t, newDriver, ca, edgetls.Pair{})
		expect := func(what string, secured, clear int) {
			t.Helper()
			p.echoes(what)
			p.echoes(what)
			if s, c := counts(); s != secured || c != clear {
				t.Errorf("%s: %d connections secured and %d clear, want %d and %d", what, s, c, secured, clear)
			}
		}
		p.apply("{endpoints: [%q]}", o.addr)
		expect("in the clear", 0, 1)
		p.apply("{endpoints: [%q], tls: internal}", o.addr)
		expect("secured", 1, 1)
		p.apply("{endpoints: [%q], tls: internal, max_idle: 5}", o.addr)
		expect("the same", 1, 1)
		p.apply("{endpoints: [%q], tls: {profile: internal, server_name: 127.0.0.1}}", o.addr)
		expect("by name", 2, 1)
		next.file(t, p.caFile)
		if changed, err := p.profile.Reload(); !changed || err != nil {
			t.Fatalf("reload: %v, %v", changed, err)
		}
		if status, _, err := p.post("x"); status != 502 || err != nil {
			t.Errorf("with other authorities: %d, %v", status, err)
		}
		p.apply("{endpoints: [%q]}", o.addr)
		expect("in the clear again", 2, 2)
	})
}

// replay reads what was peeked at first.
type replay struct {
	net.Conn
	r io.Reader
}

func (r replay) Read(b []byte) (int, error) { return r.r.Read(b) }

// The PROXY header goes first, in the clear; the certificate is shown to who asks for it.
func TestUpstreamTLSProxyHeaderAndOwnCertificate(t *testing.T) {
	onEveryDriver(t, func(t *testing.T, newDriver driverMaker) {
		ca := newSigner(t)
		pool := x509.NewCertPool()
		pool.AddCert(ca.cert)
		cfg := &tls.Config{Certificates: []tls.Certificate{ca.server(t, "127.0.0.1", time.Hour)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
		headers := make(chan string, 8)
		o := newOrigin(t, func(o *origin, c net.Conn) {
			br := bufio.NewReader(c)
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			headers <- line
			if s := o.secure(replay{c, br}, cfg); s != nil {
				o.answers(s, echo)
			}
		})
		own := ca.sign(t, &x509.Certificate{NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"edge.test"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		p := newOutward(t, newDriver, ca, put(t, own))
		p.apply("{endpoints: [%q], proxy_protocol: v1, tls: internal}", o.addr)
		p.echoes("behind a header")
		if h := <-headers; !strings.HasPrefix(h, "PROXY TCP4 127.0.0.1 127.0.0.1 ") {
			t.Errorf("header %q", h)
		}
		if hs := o.handshakes(); len(hs) != 1 || len(hs[0].PeerCertificates) != 1 || hs[0].PeerCertificates[0].DNSNames[0] != "edge.test" {
			t.Errorf("%d handshakes; the certificate was not shown", len(hs))
		}
	})
}

// put writes a certificate and its key.
func put(t *testing.T, c tls.Certificate) edgetls.Pair {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := edgetls.Pair{Cert: filepath.Join(dir, "own.crt"), Key: filepath.Join(dir, "own.key")}
	for name, b := range map[string]*pem.Block{p.Cert: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, p.Key: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// A TCP route is secured, too, and what an Upgrade makes of a connection.
func TestUpstreamTLSTunnels(t *testing.T) {
	onEveryDriver(t, func(t *testing.T, newDriver driverMaker) {
		ca, other := newSigner(t), newSigner(t)
		copying := func(signed *signer) *origin {
			cfg := &tls.Config{Certificates: []tls.Certificate{signed.server(t, "127.0.0.1", time.Hour)}}
			return newOrigin(t, func(o *origin, c net.Conn) {
				s := o.secure(c, cfg)
				if s == nil {
					return
				}
				_, _ = io.Copy(s, s)
				_ = s.CloseWrite()
			})
		}
		good, bad := copying(ca), copying(other)
		p := newOutward(t, newDriver, ca, edgetls.Pair{})
		for _, eps := range []string{good.addr, bad.addr + ", " + good.addr} {
			p.apply("{endpoints: [%s], tls: internal}", eps)
			for range 2 {
				c := p.dial("db")
				text := strings.Repeat("tunnel", 100_000)
				go func() {
					_, _ = io.WriteString(c, text)
					_ = c.(*net.TCPConn).CloseWrite()
				}()
				if b, err := io.ReadAll(c); err != nil || string(b) != text {
					t.Errorf("%d bytes of %d, %v", len(b), len(text), err)
				}
			}
		}
		if p.endpoint(bad.addr).BadCerts == 0 {
			t.Error("the wrong one was not tried")
		}
		p.apply("{endpoints: [%s], tls: internal}", bad.addr)
		if b, _ := io.ReadAll(p.dial("db")); len(b) > 0 {
			t.Errorf("%q came from a stranger", b)
		}
	})
}

// Probes are secured as requests are.
func TestUpstreamTLSHealthChecks(t *testing.T) {
	onEveryDriver(t, func(t *testing.T, newDriver driverMaker) {
		ca, other := newSigner(t), newSigner(t)
		good := newOrigin(t, echoing(&tls.Config{Certificates: []tls.Certificate{ca.server(t, "127.0.0.1", time.Hour)}}))
		bad := newOrigin(t, echoing(&tls.Config{Certificates: []tls.Certificate{other.server(t, "127.0.0.1", time.Hour)}}))
		for _, path := range []string{"", "path: /healthz, "} {
			p := newOutward(t, newDriver, ca, edgetls.Pair{})
			p.apply("{endpoints: [%s, %s], tls: internal, health_check: {%sinterval: 50ms, unhealthy: 2}}", good.addr, bad.addr, path)
			eventually(t, "the verdict", func() bool { return p.endpoint(bad.addr).State == upstream.Unhealthy })
			eventually(t, "probes", func() bool { return p.endpoint(good.addr).Checks > 3 })
			if g := p.endpoint(good.addr); g.State != upstream.Healthy || g.CheckErrs > 0 {
				t.Errorf("the good one: %+v", g)
			}
			failed := p.endpoint(bad.addr).ConnectErrs
			for range 4 {
				p.echoes("healthy")
			}
			if b := p.endpoint(bad.addr); b.ConnectErrs != failed || b.BadCerts == 0 {
				t.Errorf("the bad one: %+v", b)
			}
		}
		if bad.requests() > 0 || good.requests() == 0 {
			t.Errorf("%d requests to the bad one, %d to the good one", bad.requests(), good.requests())
		}
	})
}
