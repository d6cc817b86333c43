package httpdrain_test

import (
	"context"
	"flag"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain/httpdrain"
	"github.com/sluiceproxy/sluice/internal/synshed"
)

var (
	stops   = flag.Int("stops", 3, "stops of each kind in TestCompare")
	clients = flag.Int("clients", 64, "clients in TestCompare")
)

// short is a lame duck for tests.
func short() httpdrain.Config {
	return httpdrain.Config{LameDuckMin: 100 * time.Millisecond, LameDuckMax: 200 * time.Millisecond, Quiet: 50 * time.Millisecond}
}

// TestCompare stops a server under the same load by http.Server.Shutdown and by this
// package, in turns (make httpdrain-compare).
func TestCompare(t *testing.T) {
	type sums struct{ done, lost, refused int64 }
	var plain, ours sums
	add := func(to *sums, l *load) {
		l.running.Wait()
		to.done, to.lost, to.refused = to.done+l.done.Load(), to.lost+l.lost.Load(), to.refused+l.refused.Load()
	}
	for range *stops {
		add(&plain, stopPlainly(t))
		l := stopByDrain(t)
		add(&ours, l)
		if l.lost.Load() > 0 {
			t.Errorf("httpdrain lost %d: %q", l.lost.Load(), l.why)
		}
	}
	per := func(n int64) float64 { return float64(n) / float64(*stops) }
	t.Logf("%d stops each, %d clients in a closed loop, three quarters on keep-alive, without retries:\n"+
		"                          exchanges     lost   lost per stop   refused\n"+
		"  http.Server.Shutdown    %9d  %7d   %13.1f   %7d\n"+
		"  httpdrain               %9d  %7d   %13.1f   %7d", *stops, *clients,
		plain.done, plain.lost, per(plain.lost), plain.refused, ours.done, ours.lost, per(ours.lost), ours.refused)
	if plain.lost == 0 {
		t.Errorf("Shutdown lost nothing in %d stops: this load shows no difference", *stops)
	}
}

func stopPlainly(t *testing.T) *load {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(echo)}
	served := make(chan struct{})
	go func() { // ends with Shutdown
		defer close(served)
		_ = srv.Serve(ln)
	}()
	l := begin(ln.Addr().String(), *clients)
	l.warm(t, 500)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	<-served
	return l
}

func stopByDrain(t *testing.T) *load {
	t.Helper()
	ln, err := synshed.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := httpdrain.Wrap(&http.Server{Handler: http.HandlerFunc(echo)}, short())
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	served := make(chan struct{})
	go func() { // ends when it has drained
		defer close(served)
		r, err := srv.Serve(ctx, ln)
		if err != nil || !r.Clean() {
			t.Errorf("%v, %s", err, r)
		}
		if err := r.Audit(); err != nil {
			t.Error(err)
		}
	}()
	l := begin(ln.Addr().String(), *clients)
	l.warm(t, 500)
	stop()
	<-served
	return l
}
