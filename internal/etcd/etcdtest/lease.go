package etcdtest

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// lease is one lease. Its timer ends it.
type lease struct {
	ttl   time.Duration
	until time.Time
	timer *time.Timer
	keys  map[string]bool
}

type leaseServer struct {
	pb.UnimplementedLeaseServer
	m *Member
}

func (l leaseServer) LeaseGrant(ctx context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	if err := l.m.enter(ctx, true); err != nil {
		return nil, err
	}
	s := l.m.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return nil, rpctypes.ErrGRPCNoSpace
	}
	id := r.ID
	if id == 0 {
		s.lastLease++
		id = 0x7000_0000 + s.lastLease
	}
	if s.leases[id] != nil {
		return nil, rpctypes.ErrGRPCLeaseExist
	}
	ttl := time.Duration(r.TTL) * time.Second
	granted := &lease{ttl: ttl, until: time.Now().Add(ttl), keys: map[string]bool{}}
	granted.timer = time.AfterFunc(ttl, func() { s.expire(id) })
	s.leases[id] = granted
	return &pb.LeaseGrantResponse{ID: id, TTL: r.TTL, Header: l.m.header()}, nil
}

// expire ends a lease whose time is over.
func (s *store) expire(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.leases[id]; l != nil && !time.Now().Before(l.until) {
		s.end(id)
	}
}

// end takes a lease and its keys away, in one revision. mu is held.
func (s *store) end(id int64) {
	l := s.leases[id]
	l.timer.Stop()
	delete(s.leases, id)
	c := s.begin()
	for _, key := range slices.Sorted(maps.Keys(l.keys)) {
		c.deleteRange(&pb.DeleteRangeRequest{Key: []byte(key)})
	}
	c.end()
}

func (l leaseServer) LeaseRevoke(ctx context.Context, r *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	if err := l.m.enter(ctx, true); err != nil {
		return nil, err
	}
	s := l.m.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leases[r.ID] == nil {
		return nil, rpctypes.ErrGRPCLeaseNotFound
	}
	s.end(r.ID)
	return &pb.LeaseRevokeResponse{Header: l.m.header()}, nil
}

// LeaseKeepAlive answers with a TTL of 0 for a lease that is gone, as etcd does.
func (l leaseServer) LeaseKeepAlive(stream pb.Lease_LeaseKeepAliveServer) error {
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := l.m.enter(stream.Context(), true); err != nil {
			return err
		}
		if err := stream.Send(l.renew(r.ID)); err != nil {
			return err
		}
	}
}

func (l leaseServer) renew(id int64) *pb.LeaseKeepAliveResponse {
	s := l.m.store
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &pb.LeaseKeepAliveResponse{ID: id, Header: l.m.header()}
	if kept := s.leases[id]; kept != nil {
		kept.until = time.Now().Add(kept.ttl)
		kept.timer.Reset(kept.ttl)
		out.TTL = int64(kept.ttl / time.Second)
	}
	return out
}

func (l leaseServer) LeaseTimeToLive(ctx context.Context, r *pb.LeaseTimeToLiveRequest) (*pb.LeaseTimeToLiveResponse, error) {
	if err := l.m.enter(ctx, true); err != nil {
		return nil, err
	}
	s := l.m.store
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &pb.LeaseTimeToLiveResponse{ID: r.ID, TTL: -1, Header: l.m.header()}
	if found := s.leases[r.ID]; found != nil {
		out.TTL, out.GrantedTTL = int64(time.Until(found.until)/time.Second), int64(found.ttl/time.Second)
		if r.Keys {
			for _, key := range slices.Sorted(maps.Keys(found.keys)) {
				out.Keys = append(out.Keys, []byte(key))
			}
		}
	}
	return out, nil
}

func (l leaseServer) LeaseLeases(ctx context.Context, _ *pb.LeaseLeasesRequest) (*pb.LeaseLeasesResponse, error) {
	if err := l.m.enter(ctx, true); err != nil {
		return nil, err
	}
	s := l.m.store
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &pb.LeaseLeasesResponse{Header: l.m.header()}
	for _, id := range slices.Sorted(maps.Keys(s.leases)) {
		out.Leases = append(out.Leases, &pb.LeaseStatus{ID: id})
	}
	return out, nil
}
