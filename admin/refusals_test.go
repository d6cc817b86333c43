package admin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/proxy"
)

// Who it was is told to whoever asks for it only.
func TestRefusals(t *testing.T) {
	known := &proxy.Refusal{ID: "a1", Time: time.Unix(1, 0), Method: "GET", Host: "h", Path: "/x", Source: netip.MustParseAddr("192.0.2.7"), Route: "r", Status: 403, Reason: "no-rule-matched", Rule: -1, Policy: "3",
		Identity: &authz.Identity{Method: "jwt", User: "ann", Groups: []string{"eng"}}, Certificate: &authz.ClientCertificate{Fingerprint: "f00d"}}
	s := &Server{}
	s.cfg.Hooks.Refusal = func(ctx context.Context, id string) (*proxy.Refusal, error) {
		switch id {
		case "a1":
			return known, nil
		case "stuck":
			return nil, context.DeadlineExceeded
		case "half":
			return known, context.DeadlineExceeded
		}
		return nil, nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /refusals/{id}", s.getRefusal)
	for target, want := range map[string]struct {
		code     int
		has, not string
	}{
		"/refusals/a1":         {200, `"reason": "no-rule-matched"`, "ann"},
		"/refusals/a1?peers=0": {200, `"route": "r"`, "192.0.2.7"},
		"/refusals/a1?peers=1": {200, `"user": "ann"`, `"rule"`},
		"/refusals/half":       {200, `"id": "a1"`, "f00d"},
		"/refusals/b2":         {404, "only the last few hundred", "ann"},
		"/refusals/stuck":      {503, "ask again", "lately"},
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", target, http.NoBody))
		if body := w.Body.String(); w.Code != want.code || !strings.Contains(body, want.has) || strings.Contains(body, want.not) {
			t.Errorf("%s: %d %s", target, w.Code, body)
		}
	}
	s.cfg.Hooks.Refusal = nil
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/refusals/a1", http.NoBody))
	if w.Code != 501 {
		t.Errorf("without a proxy: %d", w.Code)
	}
}
