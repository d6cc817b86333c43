package config

import (
	"strings"
	"testing"
	"time"
)

func TestSessionsAreOffByThemselves(t *testing.T) {
	c := mustLoad(t, Source{Name: "c", Text: []byte(minimal)})
	if c.Sessions.On() || c.Sessions.Revocations.File != "" {
		t.Errorf("%+v", c.Sessions)
	}
}

func TestSessionFiles(t *testing.T) {
	kept := strings.Replace(minimal, "dir: p", "dir: p, state_dir: /s", 1)
	c := mustLoad(t, Source{Name: "c", Text: []byte(kept + "sessions: {lifetime: 1h}\n")})
	if s := c.Sessions; s.KeyFile != "/s/session.keys" || s.Revocations.File != "/s/revocations.jsonl" || s.Idle != time.Hour || !c.FreshSessionKeys() || c.SessionIdle() != time.Hour {
		t.Errorf("%+v", s)
	}
	c = mustLoad(t, Source{Name: "c", Text: []byte(kept), Env: []string{"SLUICE_SESSIONS_KEY_FILE=/k", "SLUICE_SESSIONS_IDLE=0s"}})
	if s := c.Sessions; s.KeyFile != "/k" || s.Revocations.File != "/s/revocations.jsonl" || c.FreshSessionKeys() || c.SessionIdle() >= 0 || s.Lifetime != 24*time.Hour {
		t.Errorf("%+v", s)
	}
}

func TestSessionFaults(t *testing.T) {
	for sessions, want := range map[string]string{
		"key_file: k":            "sessions.revocations.file: is required without policy.state_dir",
		"revocations: {file: f}": "sessions.key_file: is required without policy.state_dir",
		"key_file: k, revocations: {file: f}, idle: 30s":              "sessions.idle: 30s is less than 1m",
		"key_file: k, revocations: {file: f}, lifetime: 30s":          "sessions.lifetime: 30s is not from 1m to 2160h0m0s",
		"key_file: k, revocations: {file: f}, lifetime: 2161h":        "sessions.lifetime: 2161h0m0s is not from 1m to 2160h0m0s",
		"key_file: k, revocations: {file: f}, idle: 2h, lifetime: 1h": "sessions.idle: 2h0m0s is more than sessions.lifetime 1h0m0s",
		"key_file: k, revocations: {file: f, max_staleness: 10ms}":    "sessions.revocations.max_staleness: 10ms is less than 1s",
		"key_file: k, revocations: {file: f, when_stale: fail}":       `"fail"`,
		"key_file: k, revocations: {file: f}, lifetimes: 1h":          `unknown key "lifetimes"`,
	} {
		_, err := Load(Source{Name: "c", Text: []byte(minimal + "sessions: {" + sessions + "}\n")})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "c:4:") != 1 {
			t.Errorf("%s: %v, want %s", sessions, err, want)
		}
	}
}
