package etcdtest

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/metadata"
)

// ProgressEvery is how often a watch that asks for it hears that nothing happened. In etcd it is 10 minutes, by default.
const ProgressEvery = 100 * time.Millisecond

type watchServer struct {
	pb.UnimplementedWatchServer
	m *Member
}

// watcher is one watch of a stream.
type watcher struct {
	create *pb.WatchCreateRequest
	id     int64
	next   int64 // the first revision that was not looked at
	quiet  time.Time
}

// Watch serves a stream: all its watches, and what is asked of it, in one loop.
func (w watchServer) Watch(stream pb.Watch_WatchServer) error {
	ctx := stream.Context()
	md, _ := metadata.FromIncomingContext(ctx)
	needsLeader := len(md.Get(rpctypes.MetadataRequireLeaderKey)) > 0
	requests, failed := make(chan *pb.WatchRequest), make(chan error, 1)
	// Owned by this call; it ends with the stream, at the latest when this returns and ctx is done.
	go receive(ctx, stream, requests, failed)
	var watchers []*watcher
	lastID := int64(0)
	tick := time.NewTicker(ProgressEvery / 2)
	defer tick.Stop()
	for {
		if w.m.parted() && needsLeader {
			return rpctypes.ErrGRPCNoLeader
		}
		w.m.store.mu.Lock()
		changed := w.m.store.changed
		var answers []*pb.WatchResponse
		if !w.m.parted() { // otherwise it hears of nothing
			watchers = slices.DeleteFunc(watchers, func(x *watcher) bool {
				answer, over := w.look(x)
				if answer != nil {
					answers = append(answers, answer)
				}
				return over
			})
		}
		w.m.store.mu.Unlock()
		for _, answer := range answers {
			if err := w.m.delay(ctx); err != nil {
				return err
			}
			if err := stream.Send(answer); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case <-changed:
		case <-tick.C:
		case r := <-requests:
			var answer *pb.WatchResponse
			switch {
			case r.GetCreateRequest() != nil:
				x := &watcher{create: r.GetCreateRequest(), id: lastID, quiet: time.Now()}
				lastID++
				answer = w.open(x)
				watchers = append(watchers, x)
			case r.GetCancelRequest() != nil:
				id := r.GetCancelRequest().WatchId
				watchers = slices.DeleteFunc(watchers, func(x *watcher) bool { return x.id == id })
				answer = &pb.WatchResponse{WatchId: id, Canceled: true, Header: w.now()}
			case r.GetProgressRequest() != nil:
				answer = &pb.WatchResponse{WatchId: -1, Header: w.now()}
			}
			if answer != nil {
				if err := stream.Send(answer); err != nil {
					return err
				}
			}
		}
	}
}

func receive(ctx context.Context, stream pb.Watch_WatchServer, requests chan<- *pb.WatchRequest, failed chan<- error) {
	for {
		r, err := stream.Recv()
		if err != nil {
			failed <- err
			return
		}
		select {
		case requests <- r:
		case <-ctx.Done():
			return
		}
	}
}

func (w watchServer) now() *pb.ResponseHeader {
	w.m.store.mu.Lock()
	defer w.m.store.mu.Unlock()
	return w.m.header()
}

func (w watchServer) open(x *watcher) *pb.WatchResponse {
	w.m.store.mu.Lock()
	defer w.m.store.mu.Unlock()
	if x.next = x.create.StartRevision; x.next == 0 {
		x.next = w.m.store.revision + 1
	}
	return &pb.WatchResponse{WatchId: x.id, Created: true, Header: w.m.header()}
}

// look says what happened for a watch since it was last looked at. The store's mu is held.
func (w watchServer) look(x *watcher) (answer *pb.WatchResponse, over bool) {
	s := w.m.store
	if x.next <= s.compacted {
		return &pb.WatchResponse{WatchId: x.id, Canceled: true, CompactRevision: s.compacted, Header: w.m.header()}, true
	}
	var events []*mvccpb.Event
	for _, e := range s.log {
		if e.Kv.ModRevision < x.next || !in(e.Kv.Key, x.create.Key, x.create.RangeEnd) || filtered(x.create.Filters, e.Type) {
			continue
		}
		out := &mvccpb.Event{Type: e.Type, Kv: clone(e.Kv)}
		if x.create.PrevKv {
			out.PrevKv = clone(e.PrevKv)
		}
		events = append(events, out)
	}
	x.next = s.revision + 1
	if len(events) > 0 {
		x.quiet = time.Now()
		return &pb.WatchResponse{WatchId: x.id, Events: events, Header: w.m.header()}, false
	}
	if x.create.ProgressNotify && time.Since(x.quiet) >= ProgressEvery {
		x.quiet = time.Now()
		return &pb.WatchResponse{WatchId: x.id, Header: w.m.header()}, false
	}
	return nil, false
}

func filtered(filters []pb.WatchCreateRequest_FilterType, kind mvccpb.Event_EventType) bool {
	return kind == mvccpb.Event_PUT && slices.Contains(filters, pb.WatchCreateRequest_NOPUT) ||
		kind == mvccpb.Event_DELETE && slices.Contains(filters, pb.WatchCreateRequest_NODELETE)
}
