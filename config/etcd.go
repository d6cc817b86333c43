package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/internal/etcd/address"
	"github.com/sluiceproxy/sluice/internal/yaml"
)

// On reports whether there is a store.
func (e Etcd) On() bool { return len(e.Endpoints) > 0 }

// Secure reports whether connections to it speak TLS.
func (e Etcd) Secure() bool {
	return slices.ContainsFunc(e.Endpoints, address.Secure) || e.CA != "" || e.Cert != ""
}

// etcd checks how the store is reached, if there is one.
func (l *loader) etcd() {
	e := l.cfg.Etcd
	for _, t := range []struct {
		path string
		d    time.Duration
	}{{"etcd.dial_timeout", e.DialTimeout}, {"etcd.request_timeout", e.RequestTimeout}} {
		if t.d < 100*time.Millisecond || t.d > time.Minute {
			l.fault(yaml.OutOfRange, t.path, "%s is not from 100ms to 1m", t.d)
		}
	}
	if p := e.Prefix; len(p) < 2 || p[0] != '/' || strings.HasSuffix(p, "/") || strings.Contains(p, "//") {
		l.fault(yaml.BadValue, "etcd.prefix", "%q does not begin with one slash and end with none, as in \"/sluice\"", p)
	}
	if !e.On() {
		return
	}
	if len(e.Endpoints) > maxEndpoints {
		l.fault(yaml.OutOfRange, "etcd.endpoints", "there are %d; at most %d", len(e.Endpoints), maxEndpoints)
	}
	for i, endpoint := range e.Endpoints {
		at := fmt.Sprintf("etcd.endpoints[%d]", i)
		host, err := address.Host(endpoint)
		switch {
		case err != nil:
			l.fault(yaml.BadValue, at, "%v", err)
		case e.Secure() && address.Plain(endpoint):
			l.fault(yaml.Unsafe, at, "%q is without TLS, which the other settings ask for", endpoint)
		case e.User != "" && !e.Secure() && !address.Loopback(host):
			l.fault(yaml.Unsafe, at, "%q would get the password without TLS: name etcd.ca_file, or write https://", endpoint)
		}
	}
	for _, pair := range [][4]string{
		{"etcd.key_file", e.Key, "etcd.cert_file", e.Cert}, {"etcd.cert_file", e.Cert, "etcd.key_file", e.Key},
		{"etcd.password_file", e.Password, "etcd.user", e.User}, {"etcd.user", e.User, "etcd.password_file", e.Password},
	} {
		if pair[1] == "" && pair[3] != "" {
			l.fault(yaml.Required, pair[0], "is required with %s", strings.TrimPrefix(pair[2], "etcd."))
		}
	}
}

// maxEndpoints is more members than etcd is run with.
const maxEndpoints = 32
