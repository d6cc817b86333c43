package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// silence remembers why connections to members failed. The library tries to connect again until the time of a request is over,
// and then tells of the time alone; so what it meets passes through here: nobody listens, no such host, a certificate that
// nobody vouches for. Members are dialled directly, never by a proxy that the environment names.
type silence struct {
	mu  sync.Mutex
	why error
	at  time.Time // when it was met last
}

// options have connections pass through it; secure is nil without TLS.
func (s *silence) options(secure *tls.Config) []grpc.DialOption {
	creds := insecure.NewCredentials()
	if secure != nil {
		creds = credentials.NewTLS(secure)
	}
	return []grpc.DialOption{grpc.WithContextDialer(s.dial), grpc.WithTransportCredentials(heardCredentials{creds, s})}
}

func (s *silence) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	s.met(err)
	return conn, err
}

// met notes what ended a connection, or kept it from being made.
func (s *silence) met(err error) {
	if err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled) {
		return // nothing, or our own doing
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err // without the addresses, which say no more than which member was tried last
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.why, s.at = err, time.Now()
}

// since is what was met since then; empty: nothing.
func (s *silence) since(began time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.at.Before(began):
		return ""
	case errors.Is(s.why, io.EOF), errors.Is(s.why, io.ErrUnexpectedEOF):
		return "it closed the connection (does it speak TLS?)"
	}
	return s.why.Error()
}

// heardCredentials tell of handshakes that failed, and of connections that broke.
type heardCredentials struct {
	credentials.TransportCredentials
	silence *silence
}

func (c heardCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		c.silence.met(err)
		return nil, nil, err
	}
	return heardConn{conn, c.silence}, info, nil
}

func (c heardCredentials) Clone() credentials.TransportCredentials {
	return heardCredentials{c.TransportCredentials.Clone(), c.silence}
}

// heardConn is a connection: with TLS 1.3, a server that does not take the client's certificate says so after the handshake.
type heardConn struct {
	net.Conn
	silence *silence
}

func (c heardConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.silence.met(err)
	return n, err
}

// silent is the error of a request whose time is over. It is a context.DeadlineExceeded.
type silent struct{ text string }

func (e *silent) Error() string { return e.text }
func (*silent) Unwrap() error   { return context.DeadlineExceeded }
