package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
)

// HTTP/2 with real clients: Go's two transports, curl, h2load and h2spec.

// newOrigin is an upstream of HTTP/1.1 and of HTTP/2 by prior knowledge; it ends with the test.
func newOrigin(t *testing.T, h http.Handler) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	s := &http.Server{Handler: h, ReadHeaderTimeout: patience, Protocols: both}
	var running sync.WaitGroup
	running.Go(func() { _ = s.Serve(ln) }) // ends with Close
	t.Cleanup(func() {
		_ = s.Close()
		running.Wait()
	})
	return ln.Addr().String()
}

// speaking is the policy of most tests with a cluster that speaks protocol.
func speaking(addr, protocol string) string {
	return strings.Replace(policyFor(addr, addr, "v1"), fmt.Sprintf("app: {endpoints: [%q]}", addr),
		fmt.Sprintf("app: {endpoints: [%q], protocol: %s}", addr, protocol), 1)
}

// full answers with all that a response can have: 103, the body that came, trailers.
func full(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Link", "</a.css>; rel=preload")
	w.WriteHeader(http.StatusEarlyHints)
	w.Header().Del("Link")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.Header().Set("Trailer", "X-Sum")
	w.Header().Set("X-Method", r.Method)
	w.Header().Set("X-Trailer", r.Trailer.Get("X-Client-Sum"))
	_, _ = w.Write(body)
	w.Header().Set("X-Sum", fmt.Sprint(len(body)))
}

// h2Clients are Go's own transport and the one of golang.org/x/net; insecure: by prior knowledge.
func h2Clients(secure bool) map[string]http.RoundTripper {
	return h2ClientsBy(new(net.Dialer).DialContext, secure)
}

// h2ClientsBy are those that dial in this way.
func h2ClientsBy(dial func(ctx context.Context, network, addr string) (net.Conn, error), secure bool) map[string]http.RoundTripper {
	only := new(http.Protocols)
	only.SetHTTP2(secure)
	only.SetUnencryptedHTTP2(!secure)
	other := &http2.Transport{TLSClientConfig: trusting(), AllowHTTP: true}
	other.DialTLSContext = func(ctx context.Context, network, addr string, cfg *tls.Config) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil || !secure {
			return c, err
		}
		veiled := tls.Client(c, cfg)
		if err := veiled.HandshakeContext(ctx); err != nil {
			_ = c.Close()
			return nil, err
		}
		return veiled, nil
	}
	return map[string]http.RoundTripper{"net/http": &http.Transport{DialContext: dial, TLSClientConfig: trusting(), Protocols: only}, "x/net": other}
}

// TestH2GoClients: heads, bodies, trailers and 1xx both ways, whatever the upstream speaks.
func TestH2GoClients(t *testing.T) {
	t.Parallel()
	origin := newOrigin(t, http.HandlerFunc(full))
	for _, protocol := range []string{"http1", "http2"} {
		for _, scheme := range []string{"http", "https"} {
			c := setup{}
			if scheme == "https" {
				c, _ = secure(t, "")
			}
			c.policy = speaking(origin, protocol)
			s := serve(t, newUpstream(t), c)
			for name, rt := range h2Clients(scheme == "https") {
				t.Run(protocol+" "+scheme+" "+name, func(t *testing.T) {
					client := &http.Client{Transport: rt, Timeout: patience}
					defer client.CloseIdleConnections()
					h2Exchanges(t, client, scheme+"://"+s.web)
				})
			}
		}
	}
}

func h2Exchanges(t *testing.T, client *http.Client, url string) {
	t.Helper()
	for _, tt := range []struct {
		method, body, sum string
	}{
		{"GET", "", ""}, {"HEAD", "", ""}, {"DELETE", "", ""}, {"POST", "hello", ""}, {"POST", strings.Repeat("0123456789", 100_000), ""},
		{"PUT", "with a trailer", "14"}, {"POST", "", "0"},
	} {
		hints := 0
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == http.StatusEarlyHints && h.Get("Link") == "</a.css>; rel=preload" {
				hints++
			}
			return nil
		}})
		var body io.Reader = strings.NewReader(tt.body)
		if tt.sum != "" {
			body = struct{ io.Reader }{body} // of a length that nobody knows: chunks and trailers
		}
		req, err := http.NewRequestWithContext(ctx, tt.method, url+"/full", body)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = edge().name
		if tt.sum != "" {
			req.Trailer = http.Header{"X-Client-Sum": {tt.sum}}
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Errorf("%s: %v", tt.method, err)
			continue
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.ProtoMajor != 2 || resp.StatusCode != 200 || string(got) != tt.body {
			t.Errorf("%s: %s %d, %d bytes, %v", tt.method, resp.Proto, resp.StatusCode, len(got), err)
		}
		if resp.Header.Get("X-Method") != tt.method || resp.Header.Get("X-Trailer") != tt.sum {
			t.Errorf("%s: the upstream saw %v", tt.method, resp.Header)
		}
		if hints != 1 {
			t.Errorf("%s: %d early hints, want 1", tt.method, hints)
		}
		if sum := resp.Trailer.Get("X-Sum"); tt.method != "HEAD" && sum != fmt.Sprint(len(tt.body)) {
			t.Errorf("%s: trailers %v, want a sum of %d", tt.method, resp.Trailer, len(tt.body))
		}
	}
}

// TestH2Curl: the options by which people reach HTTP/2. curl before 8.0 breaks by itself when it uses a
// connection of prior knowledge again, and when it is answered before its body has left; so it is not asked to.
func TestH2Curl(t *testing.T) {
	t.Parallel()
	origin := newNginx(t)
	dir := t.TempDir()
	body, echoed := filepath.Join(dir, "body"), filepath.Join(dir, "echoed")
	write(t, body, strings.Repeat("upload", 1<<19))
	up := newUpstream(t)
	policy := policyFor(origin.addr, origin.addr, "v1")
	policy = strings.Replace(policy, "routes:\n", "routes:\n- {name: echo, path: {exact: /echo}, cluster: reads, policy: [{allow: {and: [{accept: true}]}}]}\n", 1)
	policy = strings.Replace(policy, "clusters:\n", fmt.Sprintf("clusters:\n  reads: {endpoints: [%q]}\n", up.web), 1)
	plain := serve(t, up, setup{policy: policy})
	c, certs := secure(t, "")
	c.policy = policy
	veil := serve(t, up, c)
	_, port, err := net.SplitHostPort(veil.web)
	if err != nil {
		t.Fatal(err)
	}
	at := edge().name + ":" + port
	for _, way := range []struct {
		name, url string
		args      []string
	}{
		{"prior knowledge", "http://" + plain.web, []string{"--http2-prior-knowledge"}},
		{"ALPN", "https://" + at, []string{"--http2", "--cacert", filepath.Join(certs, "edge.crt"), "--resolve", at + ":127.0.0.1"}},
	} {
		for _, tt := range []struct {
			name  string
			args  []string
			want  string
			again bool // uses its connection again
		}{
			{"GET", []string{way.url + "/"}, "nginx\n2 200", false},
			{"HEAD", []string{"-I", "-o", os.DevNull, way.url + "/"}, "2 200", false},
			{"two on one connection", []string{way.url + "/", way.url + "/"}, "nginx\n2 200nginx\n2 200", true},
			{"many at a time", []string{"--parallel", "--no-progress-meter", "-o", os.DevNull, way.url + "/[1-9]"}, strings.Repeat("2 200", 9), true},
			{"a large body", []string{"--data-binary", "@" + body, "-o", echoed, way.url + "/echo"}, "2 200", false},
			{"a large body by PUT", []string{"-T", body, "--no-progress-meter", "-o", echoed, way.url + "/echo"}, "2 200", false},
			{"a range", []string{"-r", "16-31", way.url + "/file"}, "0123456789abcdef2 206", false},
			{"without a key", []string{"-o", os.DevNull, way.url + "/private"}, "2 401", false},
			{"with a key", []string{"-H", "X-Api-Key: " + goodKey, way.url + "/private"}, "nginx\n2 200", false},
			{"dots in the path", []string{"--path-as-is", "-o", os.DevNull, way.url + "/open/../private"}, "2 401", false},
			{"escapes in the path", []string{"--path-as-is", "-o", os.DevNull, way.url + "/%70rivate"}, "2 401", false},
		} {
			if tt.again && way.name != "ALPN" {
				continue
			}
			t.Run(way.name+" "+tt.name, func(t *testing.T) {
				args := append([]string{"-sS", "--max-time", "20", "--noproxy", "*", "-w", "%{http_version} %{http_code}"}, slices.Concat(way.args, tt.args)...)
				if got := do(t, "curl", args...); got != tt.want {
					t.Errorf("got %.200q, want %q", got, tt.want)
				}
				if slices.Contains(tt.args, echoed) {
					if read(t, echoed) != read(t, body) {
						t.Error("what came back is not what was sent")
					}
					_ = os.Remove(echoed)
				}
			})
		}
	}
	// Without a preface an upgrade is not offered: the client goes on with HTTP/1.1.
	if got := do(t, "curl", "-sS", "--max-time", "20", "--noproxy", "*", "--http2", "-w", "%{http_version} %{http_code}", "http://"+plain.web+"/"); got != "nginx\n1.1 200" {
		t.Errorf("--http2 in the clear: %q", got)
	}
}
