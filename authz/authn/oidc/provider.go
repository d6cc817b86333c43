package oidc

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/authz/authn/issuer"
)

const (
	maxMetadata  = 256 << 10 // bytes
	fetchTimeout = 10 * time.Second
)

// metadata is a provider's description of itself (OpenID Connect Discovery 1.0 section 3). It is immutable.
type metadata struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	EndSession    string   `json:"end_session_endpoint"`                           // may be empty
	TokenAuth     []string `json:"token_endpoint_auth_methods_supported"`          // empty: client_secret_basic
	IssParameter  bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207

	text string // of the document
}

// parseMetadata reads a description. It has to be of the issuer that was asked (Discovery section 4.3).
func parseMetadata(src []byte, want string) (*metadata, error) {
	m := &metadata{text: string(src)}
	if err := json.Unmarshal(src, m); err != nil {
		return nil, fmt.Errorf("the description of the provider is malformed: %w", err)
	}
	if m.Issuer != want {
		return nil, fmt.Errorf("the provider calls itself %.200q, and the configured issuer is %q: they have to be the same, byte by byte", m.Issuer, want)
	}
	for name, address := range map[string]string{"authorization_endpoint": m.Authorization, "token_endpoint": m.Token, "jwks_uri": m.Keys, "end_session_endpoint": m.EndSession} {
		if name == "end_session_endpoint" && address == "" {
			continue
		}
		if err := issuer.CheckURL(address); err != nil {
			return nil, fmt.Errorf("the description of the provider: %s: %w", name, err)
		}
	}
	return m, nil
}

// provider is what is known of one: its description and keys.
type provider struct {
	issuer string
	client *http.Client
	keys   *issuer.Remote
	finder issuer.Finder
	meta   atomic.Pointer[metadata] // nil: not known yet
	kept   store
	log    *slog.Logger

	failures atomic.Uint64 // fetches that did not go well
}

func newProvider(c *Config, name string, log *slog.Logger) (*provider, error) {
	if c.Transport == nil {
		c.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: fetchTimeout,
			IdleConnTimeout: time.Minute, MaxIdleConns: 4, MaxResponseHeaderBytes: 64 << 10, TLSClientConfig: &tls.Config{RootCAs: c.CA, MinVersion: tls.VersionTLS12}}
	}
	p := &provider{issuer: c.Issuer, client: issuer.NewClient(fetchTimeout, c.Transport), kept: newStore(c.StateDir, name), log: log}
	var known *issuer.KeySet
	if m, set, err := p.kept.load(c.Issuer, c.Now()); err != nil {
		log.Warn("description of the provider not recalled", "err", err)
	} else if m != nil {
		p.meta.Store(m)
		known = set
	}
	var err error
	if p.keys, err = issuer.NewRemote(issuer.RemoteConfig{Fetch: p.fetch, Known: known}); err != nil {
		return nil, err
	}
	p.finder.Keys = p.keys
	return p, nil
}

func (p *provider) run(ctx context.Context) {
	defer p.client.CloseIdleConnections()
	p.keys.Run(ctx)
}

// fetch finds out what the provider says of itself, and its keys. Both are in force when it returns them; on an error
// those before stay. Called by keys.Run.
func (p *provider) fetch(ctx context.Context) (*issuer.KeySet, error) {
	m, set, err := p.get(ctx)
	if err != nil {
		if ctx.Err() == nil {
			p.failures.Add(1)
		}
		return nil, err
	}
	old, oldSet := p.meta.Load(), p.keys.Current()
	p.meta.Store(m)
	if old == nil || old.text != m.text || oldSet == nil || oldSet.Text() != set.Text() {
		if err := p.kept.save(m, set, time.Now()); err != nil {
			p.log.Warn("description of the provider not kept", "err", err)
		}
		p.log.Info("provider known", "keys", set.Len())
	}
	return set, nil
}

func (p *provider) get(ctx context.Context) (*metadata, *issuer.KeySet, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	src, err := issuer.Get(ctx, p.client, strings.TrimSuffix(p.issuer, "/")+"/.well-known/openid-configuration", "application/json", maxMetadata)
	if err != nil {
		return nil, nil, err
	}
	m, err := parseMetadata(src, p.issuer)
	if err != nil {
		return nil, nil, err
	}
	set, err := issuer.GetKeys(ctx, p.client, m.Keys)
	if err != nil {
		return nil, nil, err
	}
	return m, set, nil
}
