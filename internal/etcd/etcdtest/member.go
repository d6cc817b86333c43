package etcdtest

import (
	"context"
	"fmt"
	"net"
	"path"
	"slices"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// Member is one server of a cluster, with its switches. They may be moved at any time.
type Member struct {
	store   *store
	id      uint64
	address string // kept over Down and Up
	options []grpc.ServerOption

	mu     sync.Mutex // guards what follows
	server *grpc.Server
	served chan struct{} // closed by serve when the server has ended
	part   bool
	slow   time.Duration
	asked  map[string]int // requests by method
}

// listen begins to serve.
func (m *Member) listen(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.address = l.Addr().String()
	m.server = grpc.NewServer(append(slices.Clone(m.options), grpc.MaxRecvMsgSize(MaxRequest+(512<<10)),
		grpc.UnaryInterceptor(m.unary), grpc.StreamInterceptor(m.stream), grpc.WaitForHandlers(true))...)
	pb.RegisterKVServer(m.server, kvServer{m: m})
	pb.RegisterWatchServer(m.server, watchServer{m: m})
	pb.RegisterLeaseServer(m.server, leaseServer{m: m})
	pb.RegisterAuthServer(m.server, authServer{m: m})
	m.served = make(chan struct{})
	// Owned by the member; stopped and joined by Down.
	go serve(m.server, l, m.served)
	return nil
}

func serve(s *grpc.Server, l net.Listener, done chan<- struct{}) {
	defer close(done)
	_ = s.Serve(l) // it ends when it is stopped, which is what this is for
}

// Down breaks all connections and listens no more.
func (m *Member) Down() {
	m.mu.Lock()
	server, served := m.server, m.served
	m.server = nil
	m.mu.Unlock()
	if server != nil {
		server.Stop()
		<-served
	}
}

// Up listens at the same address again.
func (m *Member) Up(t testing.TB) {
	t.Helper()
	m.mu.Lock()
	up := m.server != nil
	m.mu.Unlock()
	if up {
		return
	}
	if err := m.listen(m.address); err != nil {
		t.Fatal(err)
	}
}

// Cut breaks all connections once.
func (m *Member) Cut(t testing.TB) {
	t.Helper()
	m.Down()
	m.Up(t)
}

// Part keeps a member from hearing of the others: requests that need them are silent, watches that ask for a leader end.
func (m *Member) Part(part bool) {
	m.mu.Lock()
	m.part = part
	m.mu.Unlock()
	m.store.mu.Lock()
	m.store.wake()
	m.store.mu.Unlock()
}

// Slow delays every answer, and every event of a watch.
func (m *Member) Slow(by time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.slow = by
}

// Asked is how many requests of a method came so far: Asked("Range").
func (m *Member) Asked(method string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked[method]
}

func (m *Member) parted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.part
}

// delay waits as long as the member is slow.
func (m *Member) delay(ctx context.Context) error {
	m.mu.Lock()
	slow := m.slow
	m.mu.Unlock()
	if slow == 0 {
		return nil
	}
	timer := time.NewTimer(slow)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enter waits as the switches say. What needs the other members is silent while there are none.
func (m *Member) enter(ctx context.Context, needsOthers bool) error {
	if err := m.delay(ctx); err != nil {
		return err
	}
	if needsOthers && m.parted() {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// header is of the store's revision. The store's mu is held.
func (m *Member) header() *pb.ResponseHeader {
	return &pb.ResponseHeader{ClusterId: 1, MemberId: m.id, Revision: m.store.revision, RaftTerm: 2}
}

func (m *Member) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if err := m.admit(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return handle(ctx, req)
}

func (m *Member) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if err := m.admit(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return handle(srv, stream)
}

// admit counts a request, and asks for a login where there are users.
func (m *Member) admit(ctx context.Context, method string) error {
	m.mu.Lock()
	if m.asked == nil {
		m.asked = map[string]int{}
	}
	m.asked[path.Base(method)]++
	m.mu.Unlock()
	if method == pb.Auth_Authenticate_FullMethodName {
		return nil
	}
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	if len(m.store.users) == 0 {
		return nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	token := md.Get(rpctypes.TokenFieldNameGRPC)
	switch {
	case len(token) == 0:
		return rpctypes.ErrGRPCUserEmpty
	case !m.store.tokens[token[0]]:
		return rpctypes.ErrGRPCInvalidAuthToken
	}
	return nil
}

type authServer struct {
	pb.UnimplementedAuthServer
	m *Member
}

// Authenticate logs a user in.
func (a authServer) Authenticate(ctx context.Context, r *pb.AuthenticateRequest) (*pb.AuthenticateResponse, error) {
	if err := a.m.enter(ctx, true); err != nil {
		return nil, err
	}
	s := a.m.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.users) == 0 {
		return nil, rpctypes.ErrGRPCAuthNotEnabled
	}
	if password, known := s.users[r.Name]; !known || password != r.Password {
		return nil, rpctypes.ErrGRPCAuthFailed
	}
	token := newToken()
	s.tokens[token] = true
	return &pb.AuthenticateResponse{Token: token, Header: a.m.header()}, nil
}
