package edgetls

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// OutgoingConfig says how to be a TLS client. The zero value trusts the authorities of the system.
type OutgoingConfig struct {
	// CA is a PEM file of the authorities that vouch for servers, and then they alone do.
	CA string
	// Pair is shown to a server that asks for a certificate; the zero Pair: none is.
	Pair Pair
	// ServerName is what servers have to prove to be; empty: the host that was dialed.
	ServerName string
	MinVersion uint16           // 0 is TLS 1.2
	Now        func() time.Time // nil is time.Now
}

// Outgoing is how connections to some upstreams are secured: its files, hot-reloaded as those of a
// [Store] are. The name of a server is always verified. Its methods may be called from any
// goroutine.
type Outgoing struct {
	cfg     OutgoingConfig
	current atomic.Pointer[outgoing]

	reloading sync.Mutex // serialises Reload
	mu        sync.Mutex // guards stats
	stats     OutgoingStats
}

// OutgoingStats is a reading of an Outgoing.
type OutgoingStats struct {
	Expiries        []Expiry // of the authorities and of the certificate
	Reloads, Failed uint64
	Err             error // of the last Reload; nil: it was good, or nothing had changed
}

// Own is what an Expiry is of, if it is of the certificate that is shown.
const Own = "certificate"

// maxSessions bounds what is kept of the sessions of one Outgoing, some kilobytes each.
const maxSessions = 1024

// outgoing is what is in force at a time. Never changed, but for the sessions in its cache.
type outgoing struct {
	base     *tls.Config
	sessions tls.ClientSessionCache
	version  uint64
	print    string
	dates    []Expiry
}

// NewOutgoing reads the files for the first time.
func NewOutgoing(cfg OutgoingConfig) (*Outgoing, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.MinVersion == 0 {
		cfg.MinVersion = tls.VersionTLS12
	}
	o := &Outgoing{cfg: cfg}
	first, err := o.load(1)
	if err != nil {
		return nil, err
	}
	o.current.Store(first)
	return o, nil
}

// Client is what the handshake with the server at addr (host:port) begins with, the caller's to
// change; name is what it has to prove to be, empty: what the profile says, or else the host in
// addr. version tells whether the files that count are still the same.
func (o *Outgoing) Client(name, addr string) (cfg *tls.Config, version uint64) {
	now := o.current.Load()
	if name == "" {
		name = o.cfg.ServerName
	}
	if name == "" {
		name, _, _ = net.SplitHostPort(addr)
	}
	cfg = now.base.Clone()
	cfg.ServerName = name
	cfg.ClientSessionCache = scoped{now.sessions, addr + "|"}
	return cfg, now.version
}

// Version of the files in force.
func (o *Outgoing) Version() uint64 { return o.current.Load().version }

// scoped keeps the sessions of two servers apart that go by one name: what one sealed the other need
// not open, and it may be another's.
type scoped struct {
	tls.ClientSessionCache
	scope string
}

func (s scoped) Get(key string) (*tls.ClientSessionState, bool) {
	return s.ClientSessionCache.Get(s.scope + key)
}

func (s scoped) Put(key string, cs *tls.ClientSessionState) {
	s.ClientSessionCache.Put(s.scope+key, cs)
}

// Reload reads everything anew if a file has changed, as [Store.Reload] does. Sessions end with the
// files that they began under.
func (o *Outgoing) Reload() (changed bool, err error) {
	o.reloading.Lock()
	defer o.reloading.Unlock()
	old := o.current.Load()
	print, err := o.print()
	if err == nil && print == old.print {
		o.note(nil, nil)
		return false, nil
	}
	next, err := o.load(old.version + 1)
	if err != nil {
		o.note(err, &o.stats.Failed)
		return false, err
	}
	o.current.Store(next)
	o.note(nil, &o.stats.Reloads)
	return true, nil
}

func (o *Outgoing) note(err error, count *uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if count != nil {
		*count++
	}
	o.stats.Err = err
}

// Stats is a reading of what is in force and how the last Reload went.
func (o *Outgoing) Stats() OutgoingStats {
	o.mu.Lock()
	st := o.stats
	o.mu.Unlock()
	st.Expiries = slices.Clone(o.current.Load().dates)
	return st
}

// print is a digest of all files.
func (o *Outgoing) print() (string, error) {
	h := sha256.New()
	for _, name := range []string{o.cfg.CA, o.cfg.Pair.Cert, o.cfg.Pair.Key} {
		if name == "" {
			continue
		}
		b, err := read(name, maxFile)
		if err != nil {
			return "", err
		}
		sum := sha256.Sum256(b)
		fmt.Fprintf(h, "%q %x\n", name, sum)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (o *Outgoing) load(version uint64) (*outgoing, error) {
	print, err := o.print() // before: a change meanwhile is then noticed by the next Reload
	if err != nil {
		return nil, err
	}
	next := &outgoing{version: version, print: print, sessions: tls.NewLRUClientSessionCache(maxSessions)}
	next.base = &tls.Config{MinVersion: o.cfg.MinVersion, Time: o.cfg.Now, Renegotiation: tls.RenegotiateNever}
	if o.cfg.CA != "" {
		b, err := read(o.cfg.CA, maxFile)
		if err != nil {
			return nil, fmt.Errorf("authorities: %w", err)
		}
		own := &clients{pool: x509.NewCertPool(), roots: map[string]*x509.Certificate{}}
		if err := own.authorities(b, o.cfg.CA, o.cfg.Now()); err != nil {
			return nil, fmt.Errorf("authorities %s: %w", o.cfg.CA, err)
		}
		next.base.RootCAs, next.dates = own.pool, own.dates
	}
	if o.cfg.Pair != (Pair{}) {
		pair, err := o.pair()
		if err != nil {
			return nil, fmt.Errorf("certificate %s with key %s: %w", o.cfg.Pair.Cert, o.cfg.Pair.Key, err)
		}
		next.base.Certificates = []tls.Certificate{pair}
		end := pair.Leaf.NotAfter
		next.dates = append(next.dates, Expiry{o.cfg.Pair.Cert, Own, end, end.Add(-soon)})
	}
	return next, nil
}

// pair reads and checks what is shown to servers.
func (o *Outgoing) pair() (tls.Certificate, error) {
	cert, err := read(o.cfg.Pair.Cert, maxFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := read(o.cfg.Pair.Key, maxFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return pair, err
	}
	leaf, now := pair.Leaf, o.cfg.Now()
	forClients := len(leaf.ExtKeyUsage) == 0 || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
	switch {
	case now.After(leaf.NotAfter):
		err = fmt.Errorf("it expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		err = fmt.Errorf("it is valid from %s on only", leaf.NotBefore.UTC().Format(time.RFC3339))
	case !forClients:
		err = errors.New("it is not for clients (extendedKeyUsage)")
	}
	return pair, err
}
