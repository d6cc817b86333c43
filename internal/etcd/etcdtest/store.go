package etcdtest

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// store is what all members share: every version of every key, under one lock.
type store struct {
	mu        sync.Mutex                    // guards what follows
	revision  int64                         // of the last change; an empty store is at 1, as that of etcd
	compacted int64                         // what is older than this is gone
	keys      map[string][]*mvccpb.KeyValue // versions, oldest first; one without CreateRevision is a deletion
	log       []*mvccpb.Event               // of revisions above compacted
	changed   chan struct{}                 // closed by the change that replaces it
	leases    map[int64]*lease
	lastLease int64
	full      bool              // there is no space for writes
	users     map[string]string // passwords by user; empty: nobody has to log in
	tokens    map[string]bool
}

func newStore() *store {
	return &store{revision: 1, keys: map[string][]*mvccpb.KeyValue{}, changed: make(chan struct{}), leases: map[int64]*lease{}, tokens: map[string]bool{}}
}

// at is a key's version at a revision; nil if there was none. mu is held.
func (s *store) at(key string, revision int64) *mvccpb.KeyValue {
	versions := s.keys[key]
	for i := len(versions) - 1; i >= 0; i-- {
		if versions[i].ModRevision <= revision {
			if versions[i].CreateRevision == 0 {
				return nil
			}
			return versions[i]
		}
	}
	return nil
}

// in reports whether a key is in a range of etcd: no end is one key, "\x00" is everything from key on.
func in(key, from, end []byte) bool {
	switch {
	case len(end) == 0:
		return bytes.Equal(key, from)
	case len(end) == 1 && end[0] == 0:
		return bytes.Compare(key, from) >= 0
	}
	return bytes.Compare(key, from) >= 0 && bytes.Compare(key, end) < 0
}

// found lists the versions in a range at a revision, by key. mu is held.
func (s *store) found(from, end []byte, revision int64) (list []*mvccpb.KeyValue) {
	for _, key := range slices.Sorted(maps.Keys(s.keys)) {
		if in([]byte(key), from, end) {
			if kv := s.at(key, revision); kv != nil {
				list = append(list, kv)
			}
		}
	}
	return list
}

// readRange answers a Range. mu is held.
func (s *store) readRange(r *pb.RangeRequest) (*pb.RangeResponse, error) {
	revision := r.Revision
	switch {
	case revision > s.revision:
		return nil, rpctypes.ErrGRPCFutureRev
	case revision > 0 && revision < s.compacted:
		return nil, rpctypes.ErrGRPCCompacted
	case revision <= 0:
		revision = s.revision
	}
	list := slices.DeleteFunc(s.found(r.Key, r.RangeEnd, revision), func(kv *mvccpb.KeyValue) bool {
		return r.MinModRevision > 0 && kv.ModRevision < r.MinModRevision || r.MaxModRevision > 0 && kv.ModRevision > r.MaxModRevision ||
			r.MinCreateRevision > 0 && kv.CreateRevision < r.MinCreateRevision || r.MaxCreateRevision > 0 && kv.CreateRevision > r.MaxCreateRevision
	})
	slices.SortStableFunc(list, func(a, b *mvccpb.KeyValue) int {
		order := 0
		switch r.SortTarget {
		case pb.RangeRequest_KEY:
			order = bytes.Compare(a.Key, b.Key)
		case pb.RangeRequest_VERSION:
			order = cmp.Compare(a.Version, b.Version)
		case pb.RangeRequest_CREATE:
			order = cmp.Compare(a.CreateRevision, b.CreateRevision)
		case pb.RangeRequest_MOD:
			order = cmp.Compare(a.ModRevision, b.ModRevision)
		case pb.RangeRequest_VALUE:
			order = bytes.Compare(a.Value, b.Value)
		}
		if r.SortOrder == pb.RangeRequest_DESCEND {
			return -order
		}
		return order
	})
	out := &pb.RangeResponse{Count: int64(len(list))}
	if r.Limit > 0 && int64(len(list)) > r.Limit {
		list, out.More = list[:r.Limit], true
	}
	if r.CountOnly {
		return out, nil
	}
	for _, kv := range list {
		c := clone(kv)
		if r.KeysOnly {
			c.Value = nil
		}
		out.Kvs = append(out.Kvs, c)
	}
	return out, nil
}

func clone(kv *mvccpb.KeyValue) *mvccpb.KeyValue {
	if kv == nil {
		return nil
	}
	return &mvccpb.KeyValue{Key: kv.Key, Value: kv.Value, CreateRevision: kv.CreateRevision, ModRevision: kv.ModRevision, Version: kv.Version, Lease: kv.Lease}
}

// compact forgets what is older than the last change, and ends watches that would need it.
func (s *store) compact(revision int64) error {
	switch {
	case revision > s.revision:
		return rpctypes.ErrGRPCFutureRev
	case revision <= s.compacted:
		return rpctypes.ErrGRPCCompacted
	}
	s.compacted = revision
	s.log = slices.DeleteFunc(s.log, func(e *mvccpb.Event) bool { return e.Kv.ModRevision <= revision })
	for key, versions := range s.keys {
		kept := versions[:0]
		for i, v := range versions {
			if next := i + 1; v.ModRevision > revision || (next == len(versions) || versions[next].ModRevision > revision) && v.CreateRevision != 0 {
				kept = append(kept, v)
			}
		}
		if s.keys[key] = kept; len(kept) == 0 {
			delete(s.keys, key)
		}
	}
	s.wake()
	return nil
}

// wake tells everybody who waits that something changed. mu is held.
func (s *store) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}
