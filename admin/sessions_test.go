package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/authz/session"
)

func TestRevoke(t *testing.T) {
	list := session.NewList(session.ListConfig{})
	ring, err := session.Static(session.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	keeper := session.New(session.Config{Ring: ring, Revocations: list})
	var disk error
	s := startServer(t, Config{Address: "unix:" + filepath.Join(t.TempDir(), "admin.sock"), Hooks: Hooks{
		Sessions: func() *Sessions { return SessionsOf(keeper) },
		Revoke: func(ctx context.Context, r session.Revocation) error {
			if disk != nil {
				return disk
			}
			return keeper.Revoke(ctx, r)
		},
	}})
	c, err := NewClient(ClientConfig{Address: s.Place()})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range []session.Revocation{{Kind: session.SID, Value: "x"}, {Kind: session.Sub, Issuer: "i", Value: "x"}, {Kind: session.Upstream, Issuer: "i", Value: "x"}} {
		if done, err := c.Revoke(t.Context(), r); err != nil || !done.Revoked || done.Entries != i+1 {
			t.Errorf("%+v: %+v %v", r, done, err)
		}
	}
	refused := func(r session.Revocation, code int, text string) {
		t.Helper()
		_, err := c.Revoke(t.Context(), r)
		var no *RefusedError
		if !errors.As(err, &no) || no.Code != code || !strings.Contains(no.Text, text) {
			t.Errorf("%+v: %v, want %d %s", r, err, code, text)
		}
	}
	refused(session.Revocation{Kind: "user", Value: "x"}, http.StatusBadRequest, "a revocation is of")
	refused(session.Revocation{Kind: session.Sub, Value: "x"}, http.StatusBadRequest, "a revocation is of")
	disk = errors.New("in force in this process, but not on disk yet")
	refused(session.Revocation{Kind: session.All}, http.StatusInternalServerError, "not on disk yet")
	disk = fmt.Errorf("%w: i/", ErrNoSuchIssuer)
	refused(session.Revocation{Kind: session.Sub, Issuer: "i/", Value: "x"}, http.StatusBadRequest, "nobody logs in at that issuer here: i/")
}

func TestMetricsOfSessions(t *testing.T) {
	samples, _ := scrape(t, NewMetrics(busy()))
	wantSamples(t, samples, `sluice_sessions_opened_total{result="remembered"} 7`, `sluice_sessions_opened_total{result="not_sealed"} 2`, `sluice_sessions_opened_total{result="revoked"} 0`,
		"sluice_sessions_begun_total 3", "sluice_sessions_renewed_total 4", "sluice_sessions_revocations_total 5", "sluice_sessions_revocation_entries 6",
		"sluice_sessions_revocations_pending 1", "sluice_sessions_revocation_stale_seconds 0.5", `sluice_sessions_keys_info{hash="0123456789abcdef"} 1`)
	samples, _ = scrape(t, NewMetrics(Sources{}))
	wantSamples(t, samples, `sluice_sessions_opened_total{result="opened"} 0`, "sluice_sessions_revocation_entries 0")
}
