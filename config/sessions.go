package config

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/internal/yaml"
)

// On reports whether there are sessions.
func (s Sessions) On() bool { return s.KeyFile != "" }

// The names in policy.state_dir.
const (
	sessionKeys     = "session.keys"
	revocationsFile = "revocations.jsonl"
)

// usesSessions reports whether somebody needs sessions, or has configured any of them.
func (l *loader) usesSessions() bool {
	if len(l.cfg.Authenticate.OIDC) > 0 {
		return true
	}
	for path, from := range l.cfg.origins {
		if strings.HasPrefix(path, "sessions.") && from.Kind != FromDefault {
			return true
		}
	}
	return false
}

// completeSessions derives the files, and an idle time that fits into the lifetime.
func (l *loader) completeSessions() {
	s, dir := &l.cfg.Sessions, l.cfg.Policy.StateDir
	if !l.usesSessions() {
		return
	}
	if s.KeyFile == "" && dir != "" {
		s.KeyFile = filepath.Join(dir, sessionKeys)
	}
	if s.Revocations.File == "" && dir != "" {
		s.Revocations.File = filepath.Join(dir, revocationsFile)
	}
	if l.cfg.origins["sessions.revocations.fleet.enabled"].Kind == FromDefault {
		s.Revocations.Fleet.Enabled = l.cfg.Fleet.Enabled
	}
	if l.cfg.origins["sessions.idle"].Kind == FromDefault {
		s.Idle = min(s.Idle, s.Lifetime)
	}
}

// sessions checks what usesSessions needs.
func (l *loader) sessions() {
	s := l.cfg.Sessions
	if !l.usesSessions() {
		return
	}
	if s.KeyFile == "" {
		l.fault(yaml.Required, "sessions.key_file", "is required without policy.state_dir: the keys that seal sessions")
	}
	if s.Revocations.File == "" {
		l.fault(yaml.Required, "sessions.revocations.file", "is required without policy.state_dir: where it is kept who was logged out")
	}
	if s.Lifetime < time.Minute || s.Lifetime > maxLifetime {
		l.fault(yaml.OutOfRange, "sessions.lifetime", "%s is not from 1m to %s", s.Lifetime, maxLifetime)
	} else if s.Idle > s.Lifetime {
		l.fault(yaml.Conflict, "sessions.idle", "%s is more than sessions.lifetime %s", s.Idle, s.Lifetime)
	}
	if l.cfg.origins["sessions.idle"].Kind != FromDefault && s.Idle > 0 && s.Idle < time.Minute {
		l.fault(yaml.OutOfRange, "sessions.idle", "%s is less than 1m; 0s is not by that", s.Idle)
	}
	if shared := s.Revocations.Fleet; shared.Enabled && !l.cfg.Etcd.On() && !l.cfg.Fleet.Enabled {
		l.fault(yaml.Required, "sessions.revocations.fleet.enabled", "needs a store that the fleet shares: name etcd.endpoints")
	} else if shared.MaxStaleness < 15*time.Second {
		l.fault(yaml.OutOfRange, "sessions.revocations.fleet.max_staleness", "%s is less than 15s: etcd is read every 5s", shared.MaxStaleness)
	}
	if s.Revocations.MaxStaleness < time.Second {
		l.fault(yaml.OutOfRange, "sessions.revocations.max_staleness", "%s is less than 1s", s.Revocations.MaxStaleness)
	}
}

// maxLifetime is that of a session: of what was revoked, all is kept as long.
const maxLifetime = 90 * 24 * time.Hour

// SessionIdle is the idle time as package session has it.
func (c *Config) SessionIdle() time.Duration { return off(c.Sessions.Idle) }

// FreshSessionKeys reports whether a file of keys that is not there is to be made: where nobody said that there is one.
func (c *Config) FreshSessionKeys() bool { return c.origins["sessions.key_file"].Kind == FromDefault }
