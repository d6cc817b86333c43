package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// ClientConfig says where the private server of a process is.
type ClientConfig struct {
	// Address as in the configuration of the server (default DefaultAddress). Without a
	// host, or with the unspecified one, it is this host.
	Address string
	// TokenFile holds the token; empty: none is sent.
	TokenFile string
	// Timeout bounds each request (default 30s).
	Timeout time.Duration
	// Generation asks a process that drains, by way of the one that answers; 0: that one.
	Generation int
}

// Client talks to a Server. It is safe for concurrent use.
type Client struct {
	http    http.Client
	place   place
	token   string
	timeout time.Duration
	prefix  string // of paths
}

// RefusedError is an answer that is not a success.
type RefusedError struct {
	Code int    // the HTTP status
	Text string // why, in the server's words
}

// Error is the text: it is meant for operators.
func (e *RefusedError) Error() string { return e.Text }

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 16 << 20

// NewClient reads the token; it does not connect.
func NewClient(cfg ClientConfig) (*Client, error) {
	if cfg.Address == "" {
		cfg.Address = DefaultAddress
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 30 * time.Second
	}
	c := &Client{timeout: cfg.Timeout}
	if cfg.Generation != 0 {
		c.prefix = "/generations/" + strconv.Itoa(cfg.Generation)
	}
	var err error
	if c.place, err = parsePlace(cfg.Address); err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(c.place.host); c.place.unix == "" && (c.place.host == "" || err == nil && ip.IsUnspecified()) {
		c.place.host = "localhost" // either family
	}
	if cfg.TokenFile != "" {
		if c.token, err = readToken(cfg.TokenFile); err != nil {
			return nil, fmt.Errorf("token: %w; see admin.token_file", err)
		}
	}
	network, address := c.place.address()
	// One connection for each request: nothing is left behind. No proxy of the
	// environment, and no redirect: a token goes nowhere else.
	c.http.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

// Status asks for everything.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.do(ctx, http.MethodGet, "/status", nil, &s)
}

// Connections asks for max connections (0: 100, at most 1,000), those first that a drain
// waits for, with the addresses of peers if peers is set.
func (c *Client) Connections(ctx context.Context, max int, peers bool) (v Connections, err error) {
	q := url.Values{}
	if max != 0 {
		q.Set("max", strconv.Itoa(max))
	}
	return v, c.do(ctx, http.MethodGet, "/connections?"+withPeers(q, peers), nil, &v)
}

// Progress asks how the drain goes.
func (c *Client) Progress(ctx context.Context) (p Progress, err error) {
	return p, c.do(ctx, http.MethodGet, "/drain", nil, &p)
}

// Drain carries out an action and returns how the drain then goes. park belongs to
// ActionStart. An action at the wrong moment is a *RefusedError with code 409.
func (c *Client) Drain(ctx context.Context, a Action, park bool) (p Progress, err error) {
	return p, c.do(ctx, http.MethodPost, "/drain", drainAction{Action: a, Park: park}, &p)
}

// MoveDeadline gives the drain that runs so long from now on: a *RefusedError with code 409
// if none runs, or if the platform would not wait for that.
func (c *Client) MoveDeadline(ctx context.Context, in time.Duration) (p Progress, err error) {
	return p, c.do(ctx, http.MethodPost, "/drain", drainAction{Action: ActionDeadline, In: in.String()}, &p)
}

// CloseConnection ends one connection: a *RefusedError with code 404 if there is none.
func (c *Client) CloseConnection(ctx context.Context, id uint64) (p Progress, err error) {
	return p, c.do(ctx, http.MethodPost, "/drain", drainAction{Action: ActionClose, ID: id}, &p)
}

// Watch asks how the drain goes and for the first max holders, as Connections does.
func (c *Client) Watch(ctx context.Context, max int, peers bool) (v Watch, err error) {
	q := url.Values{}
	if max != 0 {
		q.Set("max", strconv.Itoa(max))
	}
	return v, c.do(ctx, http.MethodGet, "/drain/watch?"+withPeers(q, peers), nil, &v)
}

// Forecast asks what a drain with each of the budgets would cut.
func (c *Client) Forecast(ctx context.Context, budgets []time.Duration) (f drain.Forecast, err error) {
	words := make([]string, len(budgets))
	for i, b := range budgets {
		words[i] = b.String()
	}
	q := url.Values{"at": {strings.Join(words, ",")}}
	return f, c.do(ctx, http.MethodGet, "/drain/forecast?"+q.Encode(), nil, &f)
}

// Policy asks which policy is in force.
func (c *Client) Policy(ctx context.Context) (p Policy, err error) {
	return p, c.do(ctx, http.MethodGet, "/policy", nil, &p)
}

// Receipt asks for the account of the last drain: a *RefusedError with code 404 if there
// is none yet.
func (c *Client) Receipt(ctx context.Context, peers bool) (r drain.Receipt, err error) {
	return r, c.do(ctx, http.MethodGet, "/receipt?"+withPeers(url.Values{}, peers), nil, &r)
}

// Reload reloads. What was wrong with the files is a *RefusedError with code 422; the
// process then goes on as before.
func (c *Client) Reload(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/reload", struct{}{}, nil)
}

// Upgrade starts an upgrade; Upgraded says how it goes. One that cannot begin is a
// *RefusedError with code 409.
func (c *Client) Upgrade(ctx context.Context) (p UpgradeProgress, err error) {
	return p, c.do(ctx, http.MethodPost, "/upgrade", struct{}{}, &p)
}

// Upgraded asks how the latest upgrade goes. After the switch it is the successor that
// answers.
func (c *Client) Upgraded(ctx context.Context) (p UpgradeProgress, err error) {
	return p, c.do(ctx, http.MethodGet, "/upgrade", nil, &p)
}

// Generations asks for this process and those that drain still.
func (c *Client) Generations(ctx context.Context) (g []Generation, err error) {
	return g, c.do(ctx, http.MethodGet, "/generations", nil, &g)
}

func withPeers(q url.Values, peers bool) string {
	if peers {
		q.Set("peers", "1")
	}
	return q.Encode()
}

// do sends a request and reads the answer into out; nil: it is of no interest.
func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	host := "localhost"
	if c.place.unix == "" {
		host = net.JoinHostPort(c.place.host, c.place.port)
	}
	r, err := jsonRequest(ctx, method, "http://"+host+c.prefix+path, in)
	if err != nil {
		return err
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(r)
	if err != nil {
		return c.unanswered(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return c.unanswered(err)
	}
	if res.StatusCode != http.StatusOK {
		var p problem
		if json.Unmarshal(b, &p) != nil || p.Error == "" {
			p.Error = fmt.Sprintf("%s answered %s: that is not the admin server of sluice", r.URL.Host, res.Status)
		}
		return &RefusedError{res.StatusCode, p.Error}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	return nil
}

// unanswered says what happened instead of an answer.
func (c *Client) unanswered(err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err // it would repeat method and URL
	}
	_, address := c.place.address()
	return fmt.Errorf("no answer from %s: %w; is the process running, and admin.address right?", address, err)
}
