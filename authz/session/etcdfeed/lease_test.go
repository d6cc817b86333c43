package etcdfeed

import (
	"context"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/sluiceproxy/sluice/internal/etcd/etcdtest"
)

// A revocation that could not be written leaves no lease behind, which would last as long as sessions do.
func TestNoLeaseOfNothing(t *testing.T) {
	c := etcdtest.Start(t, 1, grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		if info.FullMethod == "/etcdserverpb.KV/Txn" {
			return nil, rpctypes.ErrGRPCPermissionDenied // as to a user who may only read
		}
		return h(ctx, req)
	}))
	f := New(open(t, c))
	for range 3 {
		if err := f.Publish(t.Context(), []byte("x\n"), 12*time.Hour); err == nil {
			t.Fatal("no error")
		}
	}
	if r, err := f.client.Leases(t.Context()); err != nil || len(r.Leases) != 0 {
		t.Errorf("%d leases of nothing, %v", len(r.Leases), err)
	}
}
