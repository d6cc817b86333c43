package edgetls

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Pair names the files of one certificate, PEM: the leaf first, then what leads to the root.
type Pair struct{ Cert, Key string }

// Config of a Store.
type Config struct {
	Pairs []Pair
	// Dir is a folder of certificates: NAME.crt or NAME.pem beside NAME.key, and in folders
	// below it, one deep, the same, or tls.crt and tls.key as Kubernetes mounts secrets. A ca.crt
	// or ca.pem is left alone: cert-manager puts its authority there. Empty: none.
	Dir string
	// MinVersion is tls.VersionTLS12 or tls.VersionTLS13; 0 is TLS 1.2.
	MinVersion uint16
	// TicketKeys is a file of keys, 64 hexadecimal digits in a line: the first seals session tickets, all
	// open them. Replicas that share it, and a restart, resume each other's sessions. Empty: keys
	// of this process's own, which crypto/tls rotates and a change of certificates leaves as they are.
	TicketKeys string
	// Clients is what is asked of clients. Its files are read, checked and swapped with the rest.
	Clients Clients
	// Protocols are offered by ALPN, the preferred first; nil: none.
	Protocols []string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Store is the certificates in force. Its methods may be called from any goroutine.
type Store struct {
	cfg     Config
	base    *tls.Config
	current atomic.Pointer[set]

	reloading sync.Mutex // serialises Reload, which may wait for a file system
	mu        sync.Mutex // guards stats
	stats     Stats
}

// Stats is a reading of a Store.
type Stats struct {
	Certificates    []Certificate
	Clients         []Expiry // what clients depend on; empty: they are not asked
	Reloads, Failed uint64
	Err             error // of the last Reload; nil: it was good, or nothing had changed
	Since           time.Time
}

// Certificate is one that is in force.
type Certificate struct {
	File     string
	Names    []string
	NotAfter time.Time
}

// New reads everything for the first time.
func New(cfg Config) (*Store, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.MinVersion == 0 {
		cfg.MinVersion = tls.VersionTLS12
	}
	s := &Store{cfg: cfg}
	s.base = &tls.Config{MinVersion: cfg.MinVersion, Time: cfg.Now, // the rest is of the set in force
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.current.Load().config, nil }}
	first, err := s.load()
	if err != nil {
		return nil, err
	}
	s.current.Store(first)
	s.stats.Since = cfg.Now()
	return s, nil
}

// Config is what each handshake begins with; it is never changed.
func (s *Store) Config() *tls.Config { return s.base }

// Covers reports whether the certificate that a client with this server name gets stands for
// host, too. A client that sent no name gets the first, whatever it stands for, and may ask for
// anything.
func (s *Store) Covers(serverName, host string) bool {
	if serverName == "" {
		return true
	}
	for _, c := range s.current.Load().named(serverName) {
		if c.Leaf.VerifyHostname(host) != nil {
			return false
		}
	}
	return true
}

// Reload reads everything anew if a file has changed. changed reports whether a new set is in
// force. With an error the last good one is.
func (s *Store) Reload() (changed bool, err error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	old := s.current.Load()
	print, err := s.fingerprint()
	if err == nil && print == old.print {
		s.note(nil, nil)
		return false, nil
	}
	next, err := s.load()
	if err != nil {
		s.note(err, &s.stats.Failed)
		return false, err
	}
	s.current.Store(next)
	s.note(nil, &s.stats.Reloads)
	return true, nil
}

// note counts an outcome, and keeps when it last became another.
func (s *Store) note(err error, count *uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if count != nil {
		*count++
	}
	if fmt.Sprint(err) != fmt.Sprint(s.stats.Err) {
		s.stats.Since = s.cfg.Now()
	}
	s.stats.Err = err
}

// Stats is a reading of what is in force and how the last Reload went.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	st := s.stats
	s.mu.Unlock()
	now := s.current.Load()
	if now.clients != nil {
		st.Clients = slices.Clone(now.clients.dates)
	}
	for _, c := range now.all {
		st.Certificates = append(st.Certificates, Certificate{File: c.file, Names: c.names(), NotAfter: c.Leaf.NotAfter})
	}
	return st
}

// config of the handshakes of one set.
func (s *Store) config(of *set) *tls.Config {
	return &tls.Config{
		MinVersion:     s.cfg.MinVersion,
		NextProtos:     s.cfg.Protocols,
		GetCertificate: of.choose,
		Time:           s.cfg.Now,
		Renegotiation:  tls.RenegotiateNever,
	}
}

// tickets is the Config whose keys seal the sessions that begin with cfg.
func (s *Store) tickets(cfg *tls.Config) *tls.Config {
	if s.cfg.TicketKeys != "" {
		return cfg
	}
	return s.base // where crypto/tls keeps keys of its own, whatever set is in force
}

var errNone = errors.New("no certificate: name one, or a folder that holds some")
