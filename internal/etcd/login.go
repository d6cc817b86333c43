package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// login keeps the token of a user. The client of etcd has a login of its own, which waits for the
// store when it is opened and keeps the password for good; this one logs in with the first request.
type login struct {
	config Config

	mu    sync.Mutex // guards token; not held while somebody logs in
	token string     // empty: nobody is logged in
}

const authenticate = "/etcdserverpb.Auth/Authenticate"

// logIn gets a token. Several may do so at once: each token is good.
func (l *login) logIn(ctx context.Context, cc *grpc.ClientConn) (string, error) {
	password, err := l.config.password()
	if err != nil {
		return "", err
	}
	r, err := etcdserverpb.NewAuthClient(cc).Authenticate(ctx, &etcdserverpb.AuthenticateRequest{Name: l.config.User, Password: password})
	if errors.Is(rpctypes.Error(err), rpctypes.ErrAuthNotEnabled) {
		return "", nil // the server asks nobody who it is
	}
	if err != nil {
		return "", fmt.Errorf("log in at etcd as %s: %w", l.config.User, rpctypes.Error(err))
	}
	l.mu.Lock()
	l.token = r.Token
	l.mu.Unlock()
	return r.Token, nil
}

// unary adds the token, and logs in where there is none or the server does not take it (it
// expires, and a server forgets it when it restarts).
func (l *login) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if method == authenticate {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	l.mu.Lock()
	token := l.token
	l.mu.Unlock()
	var err error
	if token == "" {
		if token, err = l.logIn(ctx, cc); err != nil {
			return err
		}
	}
	err = invoke(with(ctx, token), method, req, reply, cc, opts...)
	if !refused(err) {
		return err
	}
	if token, err = l.logIn(ctx, cc); err != nil {
		return err
	}
	return invoke(with(ctx, token), method, req, reply, cc, opts...)
}

// stream logs in anew: streams are few, and one that is refused says so only later.
func (l *login) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	token, err := l.logIn(ctx, cc)
	if err != nil {
		return nil, err
	}
	return open(with(ctx, token), desc, cc, method, opts...)
}

func with(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, token)
}

// refused reports whether the token was not taken.
func refused(err error) bool {
	if err == nil {
		return false
	}
	err = rpctypes.Error(err)
	return errors.Is(err, rpctypes.ErrInvalidAuthToken) || errors.Is(err, rpctypes.ErrUserEmpty) || errors.Is(err, rpctypes.ErrAuthOldRevision)
}
