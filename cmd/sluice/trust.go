package main

import (
	"fmt"
	"os"

	"aead.dev/minisign"

	"github.com/sluiceproxy/sluice/authz/policysync"
	"github.com/sluiceproxy/sluice/config"
)

// wireTrust reads the keys of those who may publish, if the configuration has any. A process does
// not start without them, since it would have to believe nobody.
func (a *app) wireTrust() error {
	if a.opts.public || a.cfg.Policy.KeysFile == "" {
		return nil
	}
	trust, err := trustOf(a.cfg)
	if err != nil {
		return err
	}
	a.trust = trust
	if a.cfg.Policy.StateDir == "" {
		a.log.Warn("without policy.state_dir a restart forgets which version was the highest: an older one that is signed and not expired would be taken")
	}
	return nil
}

// reloadTrust reads the keys again. What is in force stays, whoever signed it; what comes next must
// satisfy the new ones.
func (a *app) reloadTrust() error {
	if a.trust == nil {
		return nil
	}
	keys, err := readKeys(a.cfg.Policy.KeysFile)
	if err == nil {
		err = a.trust.Set(keys, a.cfg.Policy.Threshold)
	}
	if err != nil {
		return fmt.Errorf("policy.keys_file: %w", err)
	}
	return nil
}

// trustOf is what the configuration says of who may publish: nil without keys.
func trustOf(cfg *config.Config) (*policysync.Trust, error) {
	if cfg.Policy.KeysFile == "" {
		return nil, nil
	}
	keys, err := readKeys(cfg.Policy.KeysFile)
	if err != nil {
		return nil, fmt.Errorf("policy.keys_file: %w", err)
	}
	trust, err := policysync.NewTrust(keys, cfg.Policy.Threshold)
	if err != nil {
		return nil, fmt.Errorf("policy.keys_file, policy.threshold: %w", err)
	}
	return trust, nil
}

func readKeys(name string) ([]minisign.PublicKey, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	keys, err := policysync.ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return keys, nil
}
