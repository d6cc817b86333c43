package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestClientCertificatesOverH2: who a client is does not depend on what it speaks.
func TestClientCertificatesOverH2(t *testing.T) {
	ca, up := newAuthority(t, "clients"), newUpstream(t)
	c, _ := asking(t, "request", ca)
	prod, test := ca.client(t, "spiffe://prod/a", time.Hour), ca.client(t, "spiffe://test/b", time.Hour)
	c.policy = certPolicy(up, test)
	s := serve(t, up, c)
	for _, tt := range []struct {
		path string
		want int
	}{{"/prod", 200}, {"/pinned", 403}, {"/each", 200}} {
		client := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: showing(&prod), ForceAttemptHTTP2: true}}
		req, err := http.NewRequest(http.MethodGet, "https://"+s.web+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = edge().name
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		client.CloseIdleConnections()
		if err != nil || resp.ProtoMajor != 2 || resp.StatusCode != tt.want {
			t.Errorf("%s: %s %d %q, %v", tt.path, resp.Proto, resp.StatusCode, b, err)
		}
		if tt.path == "/prod" && !strings.HasSuffix(string(b), "by spiffe://prod/a") {
			t.Errorf("%q", b)
		}
	}
}
