package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// loading is a load that was asked for.
type loading struct {
	addr     string
	creds    grpc.DialOption
	channels int           // each has two callers of both kinds
	pace     time.Duration // rest of a caller between two calls
}

// report is what became of a load, as its callers saw it.
type report struct {
	Unary       int64    `json:"unary"`       // calls that ended well
	Streams     int64    `json:"streams"`     // the same, of both directions
	Failed      []string `json:"failed"`      // what the others ended with
	Refused     int64    `json:"refused"`     // dials: there was no door any more, and the calls on the channel that made one are done
	Connections []int64  `json:"connections"` // that each channel made
}

// tally collects a report. The zero value is ready.
type tally struct {
	unary, streams atomic.Int64
	mu             sync.Mutex // guards failed
	failed         []string
}

func (t *tally) fail(kind string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = append(t.failed, time.Now().Format(time.RFC3339Nano)+" "+kind+": "+err.Error())
}

// dials counts the connections of a channel. Once one was refused there are no more.
type dials struct {
	n       atomic.Int64
	refused atomic.Int64
}

// dial is that of the channel.
func (d *dials) dial(ctx context.Context, addr string) (net.Conn, error) {
	if d.refused.Load() > 0 {
		return nil, syscall.ECONNREFUSED
	}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if errors.Is(err, syscall.ECONNREFUSED) {
		d.refused.Add(1)
	}
	return c, err
}

func (*dials) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*dials) HandleRPC(context.Context, stats.RPCStats)                         {}
func (*dials) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (d *dials) HandleConn(_ context.Context, s stats.ConnStats) {
	if _, ok := s.(*stats.ConnBegin); ok {
		d.n.Add(1)
	}
}

// run calls until standard input ends. No call is tried again but by what the library does unasked: a call that the
// server certainly has not seen.
func (l loading) run() error {
	debug.SetGCPercent(400) // the machine is for the proxy
	var t tally
	quit := make(chan struct{}) // closed when standard input ends
	var running sync.WaitGroup
	counts := make([]*dials, l.channels)
	for i := range counts {
		counts[i] = &dials{}
		cc, err := grpc.NewClient("passthrough:///"+l.addr, l.creds, grpc.WithAuthority(serverName), grpc.WithDisableRetry(), grpc.WithStatsHandler(counts[i]),
			grpc.WithContextDialer(counts[i].dial))
		if err != nil {
			return err
		}
		defer cc.Close()
		tc := testgrpc.NewTestServiceClient(cc)
		for range 2 {
			running.Go(func() { // ends with quit, or with a dial that was refused
				t.callers(quit, counts[i], l.pace, "unary", &t.unary, func(ctx context.Context) error { return unary(ctx, tc) })
			})
			running.Go(func() { // the same
				t.callers(quit, counts[i], l.pace, "stream", &t.streams, func(ctx context.Context) error { return stream(ctx, tc) })
			})
		}
	}
	progress := time.NewTicker(20 * time.Millisecond)
	defer progress.Stop()
	running.Go(func() { // ends with quit
		for {
			select {
			case <-quit:
				return
			case <-progress.C:
				fmt.Printf("done %d\n", min(t.unary.Load(), t.streams.Load()))
			}
		}
	})
	_, _ = io.Copy(io.Discard, os.Stdin)
	close(quit)
	running.Wait()
	r := report{Unary: t.unary.Load(), Streams: t.streams.Load(), Failed: t.failed}
	for _, d := range counts {
		r.Connections = append(r.Connections, d.n.Load())
		r.Refused += d.refused.Load()
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// callers calls, one after the other, until quit, or until there is no door any more.
func (t *tally) callers(quit <-chan struct{}, counts *dials, pace time.Duration, kind string, done *atomic.Int64, call func(context.Context) error) {
	for {
		select {
		case <-quit:
			return
		default:
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		err := call(ctx)
		cancel()
		// grpc-go says what a dial ended with in words only.
		if status.Code(err) == codes.Unavailable && counts.refused.Load() > 0 && strings.Contains(err.Error(), "Error while dialing") {
			return
		}
		if err != nil {
			t.fail(kind, err)
			time.Sleep(10 * time.Millisecond) // so that a server that is away does not fill the report
			continue
		}
		done.Add(1)
		time.Sleep(pace) // pace of this client, not a wait for the proxy
	}
}

var errShort = errors.New("the answer is not as long as was asked for")

func unary(ctx context.Context, tc testgrpc.TestServiceClient) error {
	resp, err := tc.UnaryCall(ctx, &testgrpc.SimpleRequest{ResponseSize: 3141, Payload: interop.ClientNewPayload(testgrpc.PayloadType_COMPRESSABLE, 2718)})
	if err == nil && len(resp.GetPayload().GetBody()) != 3141 {
		return errShort
	}
	return err
}

// stream is a call of twelve questions and answers, which takes a tenth of a second.
func stream(ctx context.Context, tc testgrpc.TestServiceClient) error {
	s, err := tc.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	for i := range 12 {
		err := s.Send(&testgrpc.StreamingOutputCallRequest{ResponseParameters: []*testgrpc.ResponseParameters{{Size: int32(100 * i)}},
			Payload: interop.ClientNewPayload(testgrpc.PayloadType_COMPRESSABLE, 50)})
		if err != nil && err != io.EOF { // io.EOF: the status comes with Recv
			return err
		}
		resp, err := s.Recv()
		if err != nil {
			return fmt.Errorf("answer %d: %w", i, err)
		}
		if len(resp.GetPayload().GetBody()) != 100*i {
			return errShort
		}
		time.Sleep(8 * time.Millisecond) // the same
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	if _, err := s.Recv(); err != io.EOF {
		return fmt.Errorf("the end of a stream: %w", err)
	}
	return nil
}
