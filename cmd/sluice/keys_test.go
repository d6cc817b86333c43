package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/admin"
)

// Who reads the log learns that keys cannot be loaded, once, and when that is over.
func TestLogSaysThatKeysCannotBeLoaded(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	s := &keySource{what: "provider oidc"}
	away := errors.New("provider oidc: connection refused")
	for _, err := range []error{nil, away, away, nil, nil, away} {
		s.tell(log, err)
	}
	if n := strings.Count(out.String(), "connection refused"); n != 2 || strings.Count(out.String(), "\n") != 3 || !strings.Contains(out.String(), "provider oidc can be loaded again") {
		t.Errorf("got %s", out.String())
	}
}

func TestStatusDoesNotSayThatAListWasRead(t *testing.T) {
	for text, want := range map[string]string{"": "read 3.0 s ago", "no such file": "not read well for 3.0 s"} {
		var out bytes.Buffer
		if err := printStatus(&out, admin.Status{Sessions: &admin.Sessions{RevokedState: admin.RevokedState{StaleSeconds: 3, Error: text}}}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), " on disk, "+want+"\n") {
			t.Errorf("%q: got %s", text, out.String())
		}
	}
}
