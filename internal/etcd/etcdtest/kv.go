package etcdtest

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/protobuf/proto"
)

// MaxRequest is the limit of etcd for one request, in bytes, by default.
const MaxRequest = 1536 << 10

// kvServer is a member's service of keys and values.
type kvServer struct {
	pb.UnimplementedKVServer
	m *Member
}

// tooLarge is what etcd says of a request over its limit.
func tooLarge(r proto.Message) error {
	if proto.Size(r) > MaxRequest {
		return rpctypes.ErrGRPCRequestTooLarge
	}
	return nil
}

func (k kvServer) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	if len(r.Key) == 0 {
		return nil, rpctypes.ErrGRPCEmptyKey
	}
	if err := k.m.enter(ctx, !r.Serializable); err != nil {
		return nil, err
	}
	s := k.m.store
	s.mu.Lock()
	defer s.mu.Unlock()
	out, err := s.readRange(r)
	if err == nil {
		out.Header = k.m.header()
	}
	return out, err
}

func (k kvServer) Put(ctx context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	if len(r.Key) == 0 {
		return nil, rpctypes.ErrGRPCEmptyKey
	}
	if err := tooLarge(r); err != nil {
		return nil, err
	}
	if err := k.m.enter(ctx, true); err != nil {
		return nil, err
	}
	s := k.m.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return nil, rpctypes.ErrGRPCNoSpace
	}
	c := s.begin()
	out, err := c.put(r)
	if err != nil {
		return nil, err
	}
	c.end()
	out.Header = k.m.header()
	return out, nil
}

// DeleteRange works without space too, as in etcd.
func (k kvServer) DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	if len(r.Key) == 0 {
		return nil, rpctypes.ErrGRPCEmptyKey
	}
	if err := k.m.enter(ctx, true); err != nil {
		return nil, err
	}
	s := k.m.store
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.begin()
	out := c.deleteRange(r)
	c.end()
	out.Header = k.m.header()
	return out, nil
}

func (k kvServer) Txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	if err := tooLarge(r); err != nil {
		return nil, err
	}
	if err := k.m.enter(ctx, true); err != nil {
		return nil, err
	}
	s := k.m.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkTxn(r); err != nil {
		return nil, err
	}
	if s.full && writes(r) {
		return nil, rpctypes.ErrGRPCNoSpace
	}
	c := s.begin()
	out, err := c.txn(r)
	c.end() // an error comes from reading, and before any change: see checkTxn
	if err != nil {
		return nil, err
	}
	out.Header = k.m.header()
	return out, nil
}

func (k kvServer) Compact(ctx context.Context, r *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	if err := k.m.enter(ctx, true); err != nil {
		return nil, err
	}
	s := k.m.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.compact(r.Revision); err != nil {
		return nil, err
	}
	return &pb.CompactionResponse{Header: k.m.header()}, nil
}
