package config

import (
	"strings"
	"testing"
)

func TestEnvironmentSaysWhatDecides(t *testing.T) {
	src := Source{Name: "s.yaml", Text: []byte("version: 1\ndrain: {timeout: 12s, flush: 1s}\n"),
		Env: []string{"SLUICE_DRAIN_FLUSH=3s", "SLUICE_LOG_LEVEL=debug"}, Flags: map[string]string{"log.level": "warn"}}
	list, err := Environment(src) // without listeners and a policy: that is not asked here
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != len(Scalars()) {
		t.Errorf("%d variables, want one for each of %d keys", len(list), len(Scalars()))
	}
	for _, want := range []struct {
		name, value, origin string
		inForce             bool
	}{
		{"SLUICE_DRAIN_TIMEOUT", "12s", "s.yaml:2", false},
		{"SLUICE_DRAIN_FLUSH", "3s", "SLUICE_DRAIN_FLUSH", true},
		{"SLUICE_LOG_LEVEL", "warn", "--log-level", false},
		{"SLUICE_DRAIN_CLOSE_LEAD", "2s", "default", false},
	} {
		found := false
		for _, v := range list {
			if v.Name == want.name {
				found = true
				if v.Value != want.value || v.Origin.String() != want.origin || v.InForce != want.inForce {
					t.Errorf("%s: %s from %s, in force %v; want %s from %s, %v", v.Name, v.Value, v.Origin, v.InForce, want.value, want.origin, want.inForce)
				}
			}
		}
		if !found {
			t.Errorf("no %s", want.name)
		}
	}
	src.Env = []string{"SLUICE_DRAIN_FLUSHH=3s"}
	if _, err := Environment(src); err == nil || !strings.Contains(err.Error(), "SLUICE_DRAIN_FLUSH") {
		t.Errorf("a variable that is none: %v", err)
	}
}

func TestValuesOfKeys(t *testing.T) {
	for path, want := range map[string]string{"log.format": "auto,json,text", "log.access": "true,false", "drain.timeout": "", "authenticate.client_certificate.user": "off,uri,dns,email,fingerprint"} {
		if got := strings.Join(Values(path), ","); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	for _, path := range Scalars() {
		_ = Values(path) // panics for what is none
	}
}
