package issuer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// CheckURL says what is wrong with an address of an issuer: whoever can change what comes from it on its way can say who anybody is.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return err
	}
	if u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%q is no address of an issuer: https://HOST/PATH", text)
	}
	ip := net.ParseIP(u.Hostname())
	switch {
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()):
		return nil
	}
	return fmt.Errorf("%q: an issuer is asked by https only, or by http on this host", text)
}

// NewClient returns a client that asks issuers. It follows no redirect. transport nil: one of its own, which the caller lets
// go of by CloseIdleConnections.
func NewClient(timeout time.Duration, transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: timeout, IdleConnTimeout: time.Minute, MaxIdleConns: 1}
	}
	return &http.Client{Transport: transport, Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("the address redirects; name the one that has what is asked for")
	}}
}

// Get returns the document at an address, if it has at most limit bytes.
func Get(ctx context.Context, client *http.Client, address, accept string, limit int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", address, resp.Status)
	}
	src, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", address, err)
	}
	if len(src) > limit {
		return nil, fmt.Errorf("GET %s: more than %d bytes", address, limit)
	}
	return src, nil
}

// GetKeys returns the keys at an address.
func GetKeys(ctx context.Context, client *http.Client, address string) (*KeySet, error) {
	src, err := Get(ctx, client, address, "application/jwk-set+json, application/json", maxKeySet)
	if err != nil {
		return nil, err
	}
	set, err := ParseKeySet(src)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", address, err)
	}
	return set, nil
}
