package admin

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/health/grpcprobe"
)

// The open listener answers gRPC probes beside the others, and across a hand-over for its successor.
func TestGRPCProbes(t *testing.T) {
	registry := health.NewRegistry(health.Config{})
	p := startProbes(t, ProbesConfig{Health: registry})
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	check := func(method string) (body []byte, code string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.Addr().String()+grpcprobe.Prefix+method, bytes.NewReader([]byte{0, 0, 0, 0, 0}))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if body, err = io.ReadAll(resp.Body); err != nil {
			t.Fatal(err)
		}
		return body, resp.Trailer.Get("Grpc-Status")
	}
	serving, not := []byte{0, 0, 0, 0, 2, 8, 1}, []byte{0, 0, 0, 0, 2, 8, 2}
	if b, code := check("Check"); !bytes.Equal(b, not) || code != "0" {
		t.Errorf("starting: %x, code %s", b, code)
	}
	registry.SetProcess(health.ProcessServing, "admitted")
	if b, code := check("Check"); !bytes.Equal(b, serving) || code != "0" {
		t.Errorf("serving: %x, code %s", b, code)
	}
	if code, body := fetch(t, p.Addr(), "/readyz"); code != http.StatusOK {
		t.Errorf("HTTP beside it: %d %s", code, body)
	}
	p.Yield()
	registry.SetProcess(health.ProcessLameDuck, "handed over")
	if b, code := check("Check"); !bytes.Equal(b, serving) || code != "0" {
		t.Errorf("handed over: %x, code %s", b, code)
	}
	if _, code := check("Watch"); code != "14" {
		t.Errorf("a watch of who has handed over: code %s", code)
	}
}
