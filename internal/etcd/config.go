package etcd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/internal/etcd/address"
)

// Defaults of [Config].
const (
	DefaultPrefix         = "/sluice"
	DefaultDialTimeout    = 2 * time.Second
	DefaultRequestTimeout = 5 * time.Second
)

// Config says where the store is and who we are there.
type Config struct {
	Endpoints []string // "host:port", or with https:// or http:// in front; at least one
	Prefix    string   // of all keys, without a slash at its end; default [DefaultPrefix]

	CAFile   string // authorities that vouch for the servers, PEM, and then they alone do; empty: the system's, if an endpoint says https
	CertFile string // shown to the servers, PEM; empty: none
	KeyFile  string // of that certificate

	User         string // empty: no login
	PasswordFile string // of that user; one newline at its end does not count

	DialTimeout    time.Duration // of one connection attempt; default [DefaultDialTimeout]
	RequestTimeout time.Duration // of a request with all its attempts; default [DefaultRequestTimeout]
}

func (c Config) withDefaults() Config {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.DialTimeout == 0 {
		c.DialTimeout = DefaultDialTimeout
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = DefaultRequestTimeout
	}
	return c
}

// Secure reports whether connections speak TLS: if an endpoint says https, or a file of TLS is named.
func (c Config) Secure() bool {
	return slices.ContainsFunc(c.Endpoints, address.Secure) || c.CAFile != "" || c.CertFile != ""
}

// Check says what is wrong with the configuration by itself: it reads no file.
func (c Config) Check() error {
	if len(c.Endpoints) == 0 {
		return errors.New("no endpoint is given")
	}
	for _, e := range c.Endpoints {
		host, err := address.Host(e)
		switch {
		case err != nil:
			return fmt.Errorf("endpoint %w", err)
		case c.Secure() && address.Plain(e):
			return fmt.Errorf("endpoint %q is without TLS, while others, or the files of TLS, ask for it", e)
		case c.User != "" && !c.Secure() && !address.Loopback(host):
			return fmt.Errorf("endpoint %q would get the password of %q without TLS: name ca_file, or write https://", e, c.User)
		}
	}
	switch {
	case (c.CertFile == "") != (c.KeyFile == ""):
		return errors.New("a certificate needs both, its file and that of its key")
	case (c.User == "") != (c.PasswordFile == ""):
		return errors.New("a login needs both, a user and the file of the password")
	}
	return nil
}

// tlsConfig is nil without TLS. The certificate is read at each handshake.
func (c Config) tlsConfig() (*tls.Config, error) {
	if !c.Secure() {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		text, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read the authorities of etcd: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read the authorities of etcd: %s holds no certificate", c.CAFile)
		}
	}
	if c.CertFile != "" {
		read := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("read the certificate for etcd: %w", err)
			}
			return &pair, nil
		}
		if _, err := read(); err != nil {
			return nil, err
		}
		out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return read() }
	}
	return out, nil
}

// maxPassword bounds the file of the password, in bytes.
const maxPassword = 4 << 10

// password reads the file.
func (c Config) password() (string, error) {
	text, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("read the password for etcd: %w", err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if password == "" || len(password) > maxPassword {
		return "", fmt.Errorf("read the password for etcd: %s has none, or one of more than %d bytes", c.PasswordFile, maxPassword)
	}
	return password, nil
}
