//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// maxProfile bounds a profile in bytes.
const maxProfile = 16 << 20

// profiled runs work and writes a CPU profile of sluice, taken meanwhile, into o.profiles.
func (a *arena) profiled(ctx context.Context, s *sample, set setting, work func() error) error {
	if a.profiles == "" || s.entrant.peer != us {
		return work()
	}
	done := make(chan error, 1)
	go func() { done <- a.profile(ctx, *s, set) }()
	err := work()
	if perr := <-done; err == nil {
		err = perr
	}
	return err
}

// profile asks the admin listener for as many whole seconds as a sample measures.
func (a *arena) profile(ctx context.Context, s sample, set setting) error {
	ctx, cancel := context.WithTimeout(ctx, a.duration()+10*time.Second)
	defer cancel()
	admin := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(set.Dir, "admin.sock"))
	}}}
	url := fmt.Sprintf("http://sluice/debug/pprof/profile?seconds=%d", int(a.seconds))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := admin.Do(req)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxProfile))
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("profile: %s: %.200s", resp.Status, b)
	}
	return os.WriteFile(filepath.Join(a.profiles, fmt.Sprintf("%s-%s-%d.pprof", s.Row, s.entrant.mode, s.Round)), b, 0o600)
}
