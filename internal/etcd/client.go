package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Times of a connection. A server closes one that is pinged more often than every 5 s.
const (
	pingEvery   = 10 * time.Second // without anything received, while there is a stream (a watch)
	pingTimeout = 3 * time.Second
	redialMax   = 3 * time.Second // between two attempts to connect
	retries     = 10              // of a read that met a server which is not there: then its error is told
	attempts    = 3               // of Read, at most
)

// maxAnswer bounds what a server may send for one request, in bytes: who asks for more asks in pages.
const maxAnswer = 32 << 20

// Client is the client of etcd with our limits. It is safe for concurrent use.
type Client struct {
	*clientv3.Client // Requests of it have no limit by themselves: use Read and Write
	config           Config
	silence          *silence
}

// Open returns a client. It waits for nobody; the error is about configuration and files. Who opens it closes it.
func Open(config Config) (*Client, error) {
	config = config.withDefaults()
	if err := config.Check(); err != nil {
		return nil, fmt.Errorf("open etcd: %w", err)
	}
	secure, err := config.tlsConfig()
	if err != nil {
		return nil, fmt.Errorf("open etcd: %w", err)
	}
	options := []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: redialMax},
		MinConnectTimeout: config.DialTimeout,
	})}
	if config.User != "" {
		if _, err := config.password(); err != nil {
			return nil, fmt.Errorf("open etcd: %w", err)
		}
		in := &login{config: config}
		options = append(options, grpc.WithChainUnaryInterceptor(in.unary), grpc.WithChainStreamInterceptor(in.stream))
	}
	met := &silence{secure: secure != nil}
	options = append(options, met.options(secure)...)
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            config.Endpoints,
		DialTimeout:          config.DialTimeout,
		DialKeepAliveTime:    pingEvery,
		DialKeepAliveTimeout: pingTimeout,
		MaxUnaryRetries:      retries,
		MaxCallRecvMsgSize:   maxAnswer,
		DialOptions:          options,
		Logger:               zap.NewNop(), // its errors reach us as such
	})
	if err != nil {
		return nil, fmt.Errorf("open etcd: %w", err)
	}
	return &Client{client, config, met}, nil
}

// Close breaks the connections. What is asked of it from then on is an error.
func (c *Client) Close() error {
	if err := c.Client.Close(); err != nil && !errors.Is(err, context.Canceled) { // its own context, which it has just ended
		return fmt.Errorf("close etcd: %w", err)
	}
	return nil
}

// Name says what and where it is: "etcd 10.0.0.1:2379,10.0.0.2:2379/sluice".
func (c *Client) Name() string {
	return "etcd " + strings.Join(c.config.Endpoints, ",") + c.config.Prefix
}

// Key is a key below the prefix: Key("heads", "7") is "/sluice/heads/7".
func (c *Client) Key(path ...string) string {
	return c.config.Prefix + "/" + strings.Join(path, "/")
}

// RequestTimeout is the limit of a request.
func (c *Client) RequestTimeout() time.Duration { return c.config.RequestTimeout }

// Read runs a request that changes nothing, within RequestTimeout. One that a member does not
// answer is asked again, and then the next member gets it: one that was parted from the others takes requests and is silent.
func (c *Client) Read(ctx context.Context, do func(context.Context) error) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.config.RequestTimeout)
	defer cancel()
	var err error
	n := min(len(c.config.Endpoints), attempts)
	for i := range n {
		left := c.config.RequestTimeout
		if deadline, ok := ctx.Deadline(); ok {
			left = time.Until(deadline)
		}
		try, stop := context.WithTimeout(ctx, left/time.Duration(n-i))
		err = do(try)
		silent := err != nil && try.Err() != nil
		stop()
		if !silent || ctx.Err() != nil {
			return c.plain(ctx, began, err)
		}
	}
	return c.plain(ctx, began, err)
}

// Write runs a request within RequestTimeout, once: one that was not answered may have been done.
func (c *Client) Write(ctx context.Context, do func(context.Context) error) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.config.RequestTimeout)
	defer cancel()
	return c.plain(ctx, began, do(ctx))
}

// plain gives an error that was caused by time the words for it: what was met meanwhile, if anything was.
func (c *Client) plain(ctx context.Context, began time.Time, err error) error {
	if err == nil {
		return nil
	}
	switch cause := ctx.Err(); {
	case errors.Is(cause, context.Canceled):
		return cause
	case cause != nil || errors.Is(err, context.DeadlineExceeded):
		waited := time.Since(began).Round(100 * time.Millisecond) // so that the same trouble has the same words
		if waited > time.Second {
			waited = waited.Round(time.Second)
		}
		text := fmt.Sprintf("%s did not answer within %s", c.Name(), waited)
		if why := c.silence.since(began); why != "" {
			text += ": " + why
		}
		return &silent{text}
	}
	return fmt.Errorf("%s: %w", c.Name(), err)
}

// Watching is the context for a watch: it ends with an error when the member that serves it
// has no leader, instead of being silent.
func Watching(ctx context.Context) context.Context { return clientv3.WithRequireLeader(ctx) }
