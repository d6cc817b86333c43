package cliprobe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/sluiceproxy/sluice/health"
)

// client asks one question of one address.
type client struct {
	o         Options
	addresses []string // to try, in order
	url       string
}

// client checks the options.
func (o Options) client() (*client, error) {
	path, err := pathOf(o.Probe)
	if err != nil {
		return nil, err
	}
	addresses, err := targets(o.Address)
	if err != nil {
		return nil, err
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	query := url.Values{"exclude": o.Exclude}
	u := url.URL{Scheme: "http", Host: addresses[0], Path: path, RawQuery: query.Encode()}
	return &client{o: o, addresses: addresses, url: u.String()}, nil
}

// pathOf is where package httpprobe answers a probe.
func pathOf(p health.Probe) (string, error) {
	switch p {
	case health.Startup:
		return "/startupz", nil
	case health.Ready:
		return "/readyz", nil
	case health.Serving:
		return "/servingz", nil
	case health.Live:
		return "/livez", nil
	}
	return "", fmt.Errorf("there is no probe %v", p)
}

// maxAnswer bounds what is read of an answer, in bytes; ours are less than 10 KiB.
const maxAnswer = 20 << 10

// targets is where a listener with that address can be reached from this host.
func targets(address string) ([]string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return nil, fmt.Errorf("address %q of the probes is not host:port; see probes.address", address)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		return []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)}, nil
	}
	return []string{address}, nil
}

// dial tries every address in order.
func (c *client) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	var errs []error
	for _, address := range c.addresses {
		conn, err := c.o.Dial(ctx, network, address)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// ask asks once. An error means that there is no answer of ours.
func (c *client) ask(ctx context.Context) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	none := c.o.nothing()

	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return none, fmt.Errorf("ask %s: %w", c.url, err)
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "sluice-health")
	// One connection for one question: a probe leaves nothing behind to be drained. A
	// transport used by itself neither follows redirects nor asks the environment for
	// a proxy.
	transport := &http.Transport{DialContext: c.dial, DisableKeepAlives: true}
	res, err := transport.RoundTrip(r)
	if err != nil {
		return none, c.unanswered(ctx, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return none, c.unanswered(ctx, err)
	}

	a := none
	if err := json.Unmarshal(body, &a); err != nil || a.Name != c.o.Probe.String() {
		return none, fmt.Errorf("%s answered %s and %.80q: that is not the probes listener of sluice", r.URL.Host, res.Status, bytes.TrimSpace(body))
	}
	// Deny unless code and body agree.
	a.OK = a.OK && res.StatusCode == http.StatusOK
	return a, nil
}

// unanswered says what happened instead of an answer.
func (c *client) unanswered(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer from %s within %s", c.addresses[0], c.o.Timeout)
	}
	return fmt.Errorf("no answer from %s: %w", c.addresses[0], oneLine{err})
}

// oneLine prints joined errors in one line.
type oneLine struct{ error }

func (e oneLine) Error() string {
	return string(bytes.ReplaceAll([]byte(e.error.Error()), []byte("\n"), []byte("; ")))
}

func (e oneLine) Unwrap() error { return e.error }
