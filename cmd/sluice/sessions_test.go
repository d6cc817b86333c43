package main

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/authz/session"
)

// An issuer that is misspelt ends nobody's session, and must not look as if it had.
func TestRevocationOfAnIssuerThatThereIsNot(t *testing.T) {
	ring, err := session.Static(session.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	const there = "https://id.example.com"
	for _, c := range []struct {
		issuers []string
		r       session.Revocation
		fine    bool
	}{
		{[]string{there}, session.Revocation{Kind: session.Sub, Issuer: there, Value: "ann"}, true},
		{[]string{there}, session.Revocation{Kind: session.Sub, Issuer: there + "/", Value: "ann"}, false},
		{[]string{"https://other.example.com", there}, session.Revocation{Kind: session.Upstream, Issuer: there, Value: "s"}, true},
		{[]string{there}, session.Revocation{Kind: session.SID, Value: "x"}, true},
		{[]string{there}, session.Revocation{Kind: session.All}, true},
		{nil, session.Revocation{Kind: session.Sub, Issuer: "any", Value: "ann"}, true},
	} {
		s := &sessions{keeper: session.New(session.Config{Ring: ring}), issuers: c.issuers, log: slog.New(slog.DiscardHandler)}
		err := s.revoke(t.Context(), c.r)
		if (err == nil) != c.fine || err != nil && !errors.Is(err, admin.ErrNoSuchIssuer) {
			t.Errorf("%v: %+v: %v", c.issuers, c.r, err)
		}
		if n := s.keeper.Revocations().Status().Entries; (n == 1) != c.fine {
			t.Errorf("%+v: %d entries", c.r, n)
		}
	}
}
