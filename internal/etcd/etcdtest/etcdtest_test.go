package etcdtest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/internal/etcd/etcdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open is the client of etcd as it is: the fake has to be good enough for that.
func open(t *testing.T, n int) (*etcdtest.Cluster, *clientv3.Client, context.Context) {
	t.Helper()
	cluster := etcdtest.Start(t, n)
	c, err := clientv3.New(clientv3.Config{Endpoints: cluster.Endpoints(), Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(func() { cancel(); c.Close() })
	return cluster, c, ctx
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func texts(r *clientv3.GetResponse) (out []string) {
	for _, kv := range r.Kvs {
		out = append(out, fmt.Sprintf("%s=%s@%d/%d/%d", kv.Key, kv.Value, kv.CreateRevision, kv.ModRevision, kv.Version))
	}
	return out
}

func TestRange(t *testing.T) {
	cluster, c, ctx := open(t, 1)
	get, put := must[*clientv3.GetResponse](t), must[*clientv3.PutResponse](t)
	put(c.Put(ctx, "a", "1")) // revision 2
	put(c.Put(ctx, "b", "2"))
	put(c.Put(ctx, "a", "3"))
	must[*clientv3.DeleteResponse](t)(c.Delete(ctx, "b")) // 5
	put(c.Put(ctx, "b", "4"))
	for want, r := range map[string]*clientv3.GetResponse{
		"[a=3@2/4/2]":           get(c.Get(ctx, "a")),
		"[a=3@2/4/2 b=4@6/6/1]": get(c.Get(ctx, "", clientv3.WithPrefix())),
		"[a=1@2/2/1 b=2@3/3/1]": get(c.Get(ctx, "a", clientv3.WithFromKey(), clientv3.WithRev(3))),
		"[a=3@2/4/2]5":          get(c.Get(ctx, "a", clientv3.WithFromKey(), clientv3.WithRev(5))),
		"[b=4@6/6/1]":           get(c.Get(ctx, "", clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortDescend), clientv3.WithLimit(1))),
		"[b=@6/6/1 a=@2/4/2]":   get(c.Get(ctx, "", clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend), clientv3.WithKeysOnly())),
		"[]":                    get(c.Get(ctx, "c")),
	} {
		if got := fmt.Sprint(texts(r)); got != strings.TrimSuffix(want, "5") || r.Header.Revision != 6 {
			t.Errorf("got %s at %d, want %s", got, r.Header.Revision, want)
		}
	}
	if r := get(c.Get(ctx, "", clientv3.WithPrefix(), clientv3.WithLimit(1))); !r.More || r.Count != 2 {
		t.Errorf("%+v", r)
	}
	if _, err := c.Get(ctx, "a", clientv3.WithRev(7)); !errors.Is(err, rpctypes.ErrFutureRev) {
		t.Error(err)
	}
	cluster.Compact(t)
	if _, err := c.Get(ctx, "a", clientv3.WithRev(5)); !errors.Is(err, rpctypes.ErrCompacted) {
		t.Error(err)
	}
	if got := fmt.Sprint(texts(get(c.Get(ctx, "", clientv3.WithPrefix(), clientv3.WithRev(6))))); got != "[a=3@2/4/2 b=4@6/6/1]" {
		t.Error(got)
	}
}

func TestTransactions(t *testing.T) {
	_, c, ctx := open(t, 1)
	txn := must[*clientv3.TxnResponse](t)
	swap := func(key string, mod int64, value string) *clientv3.TxnResponse {
		return txn(c.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", mod)).
			Then(clientv3.OpPut(key, value), clientv3.OpPut("log/"+value, value)).Else(clientv3.OpGet(key)).Commit())
	}
	if r := swap("head", 0, "1"); !r.Succeeded || r.Header.Revision != 2 {
		t.Errorf("%+v", r)
	}
	if r := swap("head", 0, "2"); r.Succeeded || string(r.Responses[0].GetResponseRange().Kvs[0].Value) != "1" || r.Header.Revision != 2 {
		t.Errorf("%+v", r)
	}
	if r := swap("head", 2, "2"); !r.Succeeded || r.Header.Revision != 3 {
		t.Errorf("%+v", r)
	}
	get := must[*clientv3.GetResponse](t)
	if got := fmt.Sprint(texts(get(c.Get(ctx, "", clientv3.WithPrefix())))); got != "[head=2@2/3/2 log/1=1@2/2/1 log/2=2@3/3/1]" {
		t.Error(got)
	}
	if _, err := c.Txn(ctx).Then(clientv3.OpPut("a", "1"), clientv3.OpPut("a", "2")).Commit(); !errors.Is(err, rpctypes.ErrDuplicateKey) {
		t.Error(err)
	}
	if _, err := c.Txn(ctx).Then(slices.Repeat([]clientv3.Op{clientv3.OpGet("a")}, 129)...).Commit(); !errors.Is(err, rpctypes.ErrTooManyOps) {
		t.Error(err)
	}
}

// take gets the next response of a watch.
func take(t *testing.T, ctx context.Context, w clientv3.WatchChan) clientv3.WatchResponse {
	t.Helper()
	select {
	case r, ok := <-w:
		if !ok {
			t.Fatal("the watch is over")
		}
		return r
	case <-ctx.Done():
		t.Fatal("nothing came")
	}
	panic("unreachable")
}

func TestWatch(t *testing.T) {
	cluster, c, ctx := open(t, 1)
	put := must[*clientv3.PutResponse](t)
	put(c.Put(ctx, "k", "1")) // 2
	put(c.Put(ctx, "k", "2"))
	w := c.Watch(ctx, "k", clientv3.WithRev(2), clientv3.WithProgressNotify())
	if r := take(t, ctx, w); len(r.Events) != 2 || string(r.Events[1].Kv.Value) != "2" {
		t.Errorf("%+v", r)
	}
	if r := take(t, ctx, w); !r.IsProgressNotify() || r.Header.Revision != 3 {
		t.Errorf("%+v", r)
	}
	put(c.Put(ctx, "other", "x"))
	cluster.Member(0).Cut(t) // the client comes back by itself
	for {                    // a request on a connection that breaks is an error
		if _, err := c.Delete(ctx, "k"); err == nil {
			break
		} else if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	for {
		r := take(t, ctx, w)
		if r.IsProgressNotify() {
			continue
		}
		if len(r.Events) != 1 || r.Events[0].Type != clientv3.EventTypeDelete || r.Events[0].Kv.ModRevision != 5 {
			t.Errorf("%+v", r)
		}
		break
	}
	// What was compacted while nobody watched is an error, and final.
	put(c.Put(ctx, "k", "3"))
	cluster.Compact(t)
	w = c.Watch(ctx, "k", clientv3.WithRev(3))
	if r := take(t, ctx, w); !errors.Is(r.Err(), rpctypes.ErrCompacted) || r.CompactRevision != 6 {
		t.Errorf("%+v: %v", r, r.Err())
	}
	if _, ok := <-w; ok {
		t.Error("it goes on")
	}
}

func TestWatchWithoutLeader(t *testing.T) {
	cluster, c, ctx := open(t, 1)
	w := c.Watch(clientv3.WithRequireLeader(ctx), "k", clientv3.WithCreatedNotify())
	take(t, ctx, w)
	cluster.Member(0).Part(true)
	if r := take(t, ctx, w); !errors.Is(r.Err(), rpctypes.ErrNoLeader) {
		t.Errorf("%+v: %v", r, r.Err())
	}
}

func TestLeases(t *testing.T) {
	cluster, c, ctx := open(t, 1)
	grant := must[*clientv3.LeaseGrantResponse](t)
	l := grant(c.Grant(ctx, 1))
	must[*clientv3.PutResponse](t)(c.Put(ctx, "replica", "a", clientv3.WithLease(l.ID)))
	w := c.Watch(ctx, "replica", clientv3.WithRev(2))
	take(t, ctx, w)
	started := time.Now()
	if r := take(t, ctx, w); r.Events[0].Type != clientv3.EventTypeDelete || time.Since(started) < 500*time.Millisecond {
		t.Errorf("%+v after %s", r, time.Since(started))
	}
	kept := grant(c.Grant(ctx, 1))
	must[*clientv3.PutResponse](t)(c.Put(ctx, "replica", "a", clientv3.WithLease(kept.ID)))
	alive, err := c.KeepAlive(ctx, kept.ID)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 { // a third of the TTL lies between two
		if _, ok := <-alive; !ok {
			t.Fatal("not kept alive")
		}
	}
	if cluster.Value("replica") == nil {
		t.Error("it is gone")
	}
	if _, err := c.Revoke(ctx, kept.ID); err != nil || cluster.Value("replica") != nil {
		t.Error("it is still there", err)
	}
	lost := grant(c.Grant(ctx, 60))
	must[*clientv3.PutResponse](t)(c.Put(ctx, "replica", "b", clientv3.WithLease(lost.ID)))
	cluster.ExpireLeases()
	if cluster.Value("replica") != nil {
		t.Error("it outlived its lease")
	}
	if _, err := c.Put(ctx, "replica", "c", clientv3.WithLease(lost.ID)); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		t.Error(err)
	}
}

func TestSwitches(t *testing.T) {
	cluster, c, ctx := open(t, 1)
	must[*clientv3.PutResponse](t)(c.Put(ctx, "k", "1"))
	cluster.Full(true)
	if _, err := c.Put(ctx, "k", "2"); !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Error(err)
	}
	must[*clientv3.GetResponse](t)(c.Get(ctx, "k"))
	must[*clientv3.DeleteResponse](t)(c.Delete(ctx, "k"))
	cluster.Full(false)
	if _, err := c.Put(ctx, "k", strings.Repeat("x", etcdtest.MaxRequest)); !errors.Is(err, rpctypes.ErrRequestTooLarge) {
		t.Error(err)
	}
	cluster.Member(0).Part(true)
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := c.Get(short, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	must[*clientv3.GetResponse](t)(c.Get(ctx, "k", clientv3.WithSerializable()))
	cluster.Member(0).Part(false)
	cluster.Member(0).Slow(50 * time.Millisecond)
	started := time.Now()
	must[*clientv3.GetResponse](t)(c.Get(ctx, "k"))
	if took := time.Since(started); took < 50*time.Millisecond {
		t.Errorf("slow was %s", took)
	}
}
