package etcdtest

import (
	"bytes"
	"cmp"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// maxOps is the limit of etcd for one transaction, by default.
const maxOps = 128

// change is one revision in the making: nothing of it is seen before it is whole. The store's mu is held as long as it lives.
type change struct {
	*store
	revision int64
	events   []*mvccpb.Event
}

func (s *store) begin() *change { return &change{store: s, revision: s.revision + 1} }

// end makes the revision current, if anything changed.
func (c *change) end() {
	if len(c.events) == 0 {
		return
	}
	c.store.revision = c.revision
	c.log = append(c.log, c.events...)
	c.wake()
}

func (c *change) put(r *pb.PutRequest) (*pb.PutResponse, error) {
	key, before := string(r.Key), c.at(string(r.Key), c.revision)
	kv := &mvccpb.KeyValue{Key: r.Key, Value: r.Value, Lease: r.Lease, CreateRevision: c.revision, ModRevision: c.revision, Version: 1}
	if before != nil {
		kv.CreateRevision, kv.Version = before.CreateRevision, before.Version+1
	}
	if before == nil && (r.IgnoreValue || r.IgnoreLease) {
		return nil, rpctypes.ErrGRPCKeyNotFound
	}
	if r.IgnoreValue {
		kv.Value = before.Value
	}
	if r.IgnoreLease {
		kv.Lease = before.Lease
	}
	if kv.Lease != 0 && c.leases[kv.Lease] == nil {
		return nil, rpctypes.ErrGRPCLeaseNotFound
	}
	c.attach(before, kv)
	c.keys[key] = append(c.keys[key], kv)
	c.events = append(c.events, &mvccpb.Event{Type: mvccpb.Event_PUT, Kv: kv, PrevKv: clone(before)})
	out := &pb.PutResponse{}
	if r.PrevKv {
		out.PrevKv = clone(before)
	}
	return out, nil
}

// attach moves a key from the lease of its last version to that of the next.
func (c *change) attach(before, after *mvccpb.KeyValue) {
	if before != nil && before.Lease != 0 {
		if l := c.leases[before.Lease]; l != nil {
			delete(l.keys, string(before.Key))
		}
	}
	if after != nil && after.Lease != 0 {
		c.leases[after.Lease].keys[string(after.Key)] = true
	}
}

func (c *change) deleteRange(r *pb.DeleteRangeRequest) *pb.DeleteRangeResponse {
	out := &pb.DeleteRangeResponse{}
	for _, kv := range c.found(r.Key, r.RangeEnd, c.revision) {
		c.attach(kv, nil)
		gone := &mvccpb.KeyValue{Key: kv.Key, ModRevision: c.revision}
		c.keys[string(kv.Key)] = append(c.keys[string(kv.Key)], gone)
		c.events = append(c.events, &mvccpb.Event{Type: mvccpb.Event_DELETE, Kv: gone, PrevKv: clone(kv)})
		out.Deleted++
		if r.PrevKv {
			out.PrevKvs = append(out.PrevKvs, clone(kv))
		}
	}
	return out
}

// txn runs a checked transaction.
func (c *change) txn(r *pb.TxnRequest) (*pb.TxnResponse, error) {
	out := &pb.TxnResponse{Succeeded: true}
	for _, compare := range r.Compare {
		out.Succeeded = out.Succeeded && c.holds(compare)
	}
	branch := r.Failure
	if out.Succeeded {
		branch = r.Success
	}
	for _, op := range branch {
		answer := &pb.ResponseOp{}
		switch op := op.Request.(type) {
		case *pb.RequestOp_RequestRange:
			in := op.RequestRange
			current := c.store.revision
			if len(c.events) > 0 {
				c.store.revision = c.revision // it sees what came before it in this transaction
			}
			found, err := c.readRange(in)
			c.store.revision = current
			if err != nil {
				return nil, err
			}
			found.Header = &pb.ResponseHeader{}
			answer.Response = &pb.ResponseOp_ResponseRange{ResponseRange: found}
		case *pb.RequestOp_RequestPut:
			done, err := c.put(op.RequestPut)
			if err != nil {
				return nil, err
			}
			done.Header = &pb.ResponseHeader{}
			answer.Response = &pb.ResponseOp_ResponsePut{ResponsePut: done}
		case *pb.RequestOp_RequestDeleteRange:
			done := c.deleteRange(op.RequestDeleteRange)
			done.Header = &pb.ResponseHeader{}
			answer.Response = &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: done}
		case *pb.RequestOp_RequestTxn:
			done, err := c.txn(op.RequestTxn)
			if err != nil {
				return nil, err
			}
			done.Header = &pb.ResponseHeader{}
			answer.Response = &pb.ResponseOp_ResponseTxn{ResponseTxn: done}
		}
		out.Responses = append(out.Responses, answer)
	}
	return out, nil
}

// checkTxn refuses what etcd refuses before anything is done, so that no transaction stops half way.
func (s *store) checkTxn(r *pb.TxnRequest) error {
	if len(r.Compare) > maxOps || len(r.Success) > maxOps || len(r.Failure) > maxOps {
		return rpctypes.ErrGRPCTooManyOps
	}
	for _, branch := range [][]*pb.RequestOp{r.Success, r.Failure} {
		seen := map[string]bool{}
		for _, op := range branch {
			if nested := op.GetRequestTxn(); nested != nil {
				if err := s.checkTxn(nested); err != nil {
					return err
				}
			}
			put := op.GetRequestPut()
			switch {
			case put == nil:
			case len(put.Key) == 0:
				return rpctypes.ErrGRPCEmptyKey
			case seen[string(put.Key)]:
				return rpctypes.ErrGRPCDuplicateKey
			case put.Lease != 0 && s.leases[put.Lease] == nil:
				return rpctypes.ErrGRPCLeaseNotFound
			default:
				seen[string(put.Key)] = true
			}
		}
	}
	return nil
}

// holds judges one compare, on each key of its range. A key that is not there has zero revisions; its value compares with nothing.
func (c *change) holds(r *pb.Compare) bool {
	list := c.found(r.Key, r.RangeEnd, c.revision)
	if len(list) == 0 {
		if r.Target == pb.Compare_VALUE {
			return false
		}
		list = []*mvccpb.KeyValue{{}}
	}
	for _, kv := range list {
		order := 0
		switch r.Target {
		case pb.Compare_VERSION:
			order = cmp.Compare(kv.Version, r.GetVersion())
		case pb.Compare_CREATE:
			order = cmp.Compare(kv.CreateRevision, r.GetCreateRevision())
		case pb.Compare_MOD:
			order = cmp.Compare(kv.ModRevision, r.GetModRevision())
		case pb.Compare_VALUE:
			order = bytes.Compare(kv.Value, r.GetValue())
		case pb.Compare_LEASE:
			order = cmp.Compare(kv.Lease, r.GetLease())
		}
		ok := false
		switch r.Result {
		case pb.Compare_EQUAL:
			ok = order == 0
		case pb.Compare_GREATER:
			ok = order > 0
		case pb.Compare_LESS:
			ok = order < 0
		case pb.Compare_NOT_EQUAL:
			ok = order != 0
		}
		if !ok {
			return false
		}
	}
	return true
}

// writes reports whether a transaction may change something.
func writes(r *pb.TxnRequest) bool {
	for _, branch := range [][]*pb.RequestOp{r.Success, r.Failure} {
		for _, op := range branch {
			if op.GetRequestPut() != nil || op.GetRequestDeleteRange() != nil || op.GetRequestTxn() != nil && writes(op.GetRequestTxn()) {
				return true
			}
		}
	}
	return false
}
