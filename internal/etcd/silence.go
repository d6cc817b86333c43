package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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
	secure bool // members are asked to speak TLS

	mu        sync.Mutex // guards what follows
	dialled   met        // nobody listens, the connection broke
	handshake met        // which tells more: somebody is there
}

// met is a trouble in words that are the same as long as the trouble is.
type met struct {
	words string
	at    time.Time // last
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
	s.meet(err, &s.dialled)
	return conn, err
}

// meet notes what ended a connection, or kept it from being made.
func (s *silence) meet(err error, as *met) {
	if err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled) {
		return // nothing, or our own doing
	}
	words := s.words(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	*as = met{words, time.Now()}
}

// words are those of an error without what differs from one attempt to the next: addresses, ports, the time of day.
func (s *silence) words(err error) string {
	var invalid x509.CertificateInvalidError
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &invalid):
		invalid.Detail = ""
		return invalid.Error()
	case errors.As(err, &dns) && dns.IsNotFound:
		return "lookup " + dns.Name + ": no such host"
	case errors.As(err, &dns):
		return "lookup " + dns.Name + ": no answer of a name server"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		if s.secure {
			return "it closes connections"
		}
		return "it closes connections (does it speak TLS?)"
	case errors.As(err, &op) && op.Err != nil:
		return op.Err.Error()
	}
	return err.Error()
}

// since is what was met since then; empty: nothing.
func (s *silence) since(began time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range []met{s.handshake, s.dialled} {
		if !m.at.Before(began) {
			return m.words
		}
	}
	return ""
}

// heardCredentials tell of handshakes that failed, and of connections that broke.
type heardCredentials struct {
	credentials.TransportCredentials
	silence *silence
}

func (c heardCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		c.silence.meet(err, &c.silence.handshake)
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
	as := &c.silence.dialled
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "remote error" { // an alert of TLS
		as = &c.silence.handshake
	}
	c.silence.meet(err, as)
	return n, err
}

// silent is the error of a request whose time is over. It is a context.DeadlineExceeded.
type silent struct{ text string }

func (e *silent) Error() string { return e.text }
func (*silent) Unwrap() error   { return context.DeadlineExceeded }
