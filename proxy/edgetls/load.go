package edgetls

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	maxFile = 1 << 20 // bytes of one file
	maxKeys = 16      // in a file of ticket keys
	maxDir  = 10_000  // certificates in a folder
)

// load reads and checks everything.
func (s *Store) load() (*set, error) {
	print, err := s.fingerprint() // before: a change meanwhile is then noticed by the next Reload
	if err != nil {
		return nil, err
	}
	pairs, err := s.pairs()
	if err != nil {
		return nil, err
	}
	next := &set{byName: map[string][]*certificate{}, print: print}
	for _, p := range pairs {
		c, err := s.certificate(p)
		if err != nil {
			return nil, err
		}
		next.all = append(next.all, c)
		for _, n := range c.names() {
			next.byName[n] = append(next.byName[n], c)
		}
	}
	if next.clients, err = s.readClients(); err != nil {
		return nil, err
	}
	next.config = s.config(next)
	if s.cfg.TicketKeys != "" {
		keys, err := ticketKeys(s.cfg.TicketKeys)
		if err != nil {
			return nil, err
		}
		next.config.SetSessionTicketKeys(keys)
	}
	if next.clients != nil {
		next.clients.ask(next.config, s.tickets(next.config), s.cfg.Now)
	}
	return next, nil
}

// pairs are those that are named, then those of the folder, in the order of their names.
func (s *Store) pairs() ([]Pair, error) {
	all := slices.Clone(s.cfg.Pairs)
	if s.cfg.Dir != "" {
		found, err := find(s.cfg.Dir, true)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w (folder %q)", errNone, s.cfg.Dir)
	}
	if len(all) > maxDir {
		return nil, fmt.Errorf("%d certificates; at most %d", len(all), maxDir)
	}
	return all, nil
}

func find(dir string, deeper bool) (all []Pair, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") { // of the atomic writers: ..data, .tmp
			continue
		}
		info, err := os.Stat(name) // through links
		if err != nil {
			return nil, fmt.Errorf("certificates: %w", err)
		}
		if info.IsDir() {
			if deeper {
				below, err := find(name, false)
				if err != nil {
					return nil, err
				}
				all = append(all, below...)
			}
			continue
		}
		if ext := filepath.Ext(name); (ext == ".crt" || ext == ".pem") && filepath.Base(name) != "ca"+ext {
			all = append(all, Pair{Cert: name, Key: strings.TrimSuffix(name, ext) + ".key"})
		}
	}
	return all, nil
}

// certificate reads and checks one pair.
func (s *Store) certificate(p Pair) (*certificate, error) {
	cert, err := read(p.Cert, maxFile)
	if err != nil {
		return nil, err
	}
	key, err := read(p.Key, maxFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", p.Cert, p.Key, err)
	}
	c := &certificate{Certificate: pair, file: p.Cert}
	if err := c.check(s.cfg.Now()); err != nil {
		return nil, fmt.Errorf("certificate %s: %w", p.Cert, err)
	}
	return c, nil
}

// read reads a file of at most limit bytes.
func read(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for whoever writes
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s: larger than %d bytes", name, limit)
	}
	return b, err
}

// fingerprint tells whether any file changed: a digest of all their contents.
func (s *Store) fingerprint() (string, error) {
	pairs, err := s.pairs()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	add := func(name string, limit int64) error {
		b, err := read(name, limit)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		fmt.Fprintf(h, "%q %x\n", name, sum)
		return nil
	}
	for _, p := range pairs {
		if err := add(p.Cert, maxFile); err != nil {
			return "", err
		}
		if err := add(p.Key, maxFile); err != nil {
			return "", err
		}
	}
	if s.cfg.TicketKeys != "" {
		if err := add(s.cfg.TicketKeys, maxFile); err != nil {
			return "", err
		}
	}
	if c := s.cfg.Clients; c.Auth != Ignore {
		if err := add(c.CA, maxFile); err != nil {
			return "", err
		}
		for _, name := range c.CRLs {
			if err := add(name, maxList); err != nil {
				return "", err
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// ticketKeys reads a file of keys. Its errors never quote it.
func ticketKeys(name string) (keys [][32]byte, err error) {
	b, err := read(name, maxFile)
	if err != nil {
		return nil, err
	}
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var key [32]byte
		if n, err := hex.Decode(key[:], []byte(line[:min(len(line), 64)])); err != nil || n != 32 || len(line) != 64 {
			return nil, fmt.Errorf("ticket keys %s: line %d: want 64 hexadecimal digits (openssl rand -hex 32)", name, i+1)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(keys) > maxKeys {
		return nil, fmt.Errorf("ticket keys %s: %d keys; want 1 to %d", name, len(keys), maxKeys)
	}
	return keys, nil
}
