package e2e

import (
	"net/http"
	"slices"
	"sync"
	"testing"
)

// TestTraceContextGoesOn: W3C trace context (traceparent, tracestate) reaches the upstream as the client sent it, every field
// line of it, whatever the versions of HTTP on both sides and whether it is valid or not; and none is made up.
func TestTraceContextGoesOn(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]http.Header{} // by path; guarded by mu
	origin := newOrigin(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.URL.Path] = r.Header.Clone()
	}))
	sent := map[string]http.Header{
		"/sampled":   {"Traceparent": {"00-" + trace + "-00f067aa0ba902b7-01"}, "Tracestate": {"congo=t61rcWkgMzE"}},
		"/two-lines": {"Traceparent": {"00-" + trace + "-00f067aa0ba902b7-00"}, "Tracestate": {"rojo=00f067aa0ba902b7", "congo=t61rcWkgMzE,x@y=1"}},
		"/future":    {"Traceparent": {"cc-" + trace + "-00f067aa0ba902b7-01-what-the-future-brings"}},
		"/invalid":   {"Traceparent": {"00-00000000000000000000000000000000-0000000000000000-01"}, "Tracestate": {"a=b"}},
		"/none":      {},
	}
	for _, protocol := range []string{"http1", "http2"} {
		s := serve(t, newUpstream(t), setup{policy: speaking(origin, protocol)})
		one := new(http.Protocols)
		one.SetHTTP1(true)
		clients := h2Clients(false)
		clients["HTTP/1.1"] = &http.Transport{Protocols: one}
		for name, rt := range clients {
			client := &http.Client{Transport: rt, Timeout: patience}
			for path, head := range sent {
				req, err := http.NewRequest(http.MethodGet, "http://"+s.web+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header = head.Clone()
				resp, err := client.Do(req)
				if err != nil {
					t.Fatalf("%s to %s, %s: %v", name, protocol, path, err)
				}
				_ = resp.Body.Close()
				mu.Lock()
				got := seen[path]
				delete(seen, path)
				mu.Unlock()
				for _, field := range []string{"Traceparent", "Tracestate"} {
					if !slices.Equal(got[field], head[field]) {
						t.Errorf("%s to %s, %s: the upstream got %s %q, and %q was sent", name, protocol, path, field, got[field], head[field])
					}
				}
			}
			client.CloseIdleConnections()
		}
	}
}
