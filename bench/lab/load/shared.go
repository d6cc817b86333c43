//lint:file-ignore SA1019 that of net/http dials by itself, and the account needs the connection

package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluiceproxy/sluice/bench/lab/origin"
	"github.com/sluiceproxy/sluice/bench/lab/record"
)

// HTTP/2 by prior knowledge: exchanges of a class share connections. A connection that was told to leave gets no new
// ones, and nothing is sent twice: bodies cannot be.

// sharedConns is over how many connections a class spreads.
const sharedConns = 4

// shared are the connections of a class, used in turns.
type shared struct {
	gen       *Generator
	addr      string
	transport http2.Transport

	mu     sync.Mutex // guards what follows
	conns  []*sharedConn
	next   int
	closed bool
}

func newShared(g *Generator, addr string) *shared {
	return &shared{gen: g, addr: addr, transport: http2.Transport{AllowHTTP: true}}
}

// sharedConn is one of them.
type sharedConn struct {
	*conn
	h2 *http2.ClientConn
}

// take reserves a stream on a connection that may have one more, or on a new one.
func (s *shared) take(ctx context.Context) (*sharedConn, record.Conn, error) {
	s.mu.Lock()
	open := s.conns[:0]
	for _, c := range s.conns {
		if c.h2.CanTakeNewRequest() {
			open = append(open, c)
		}
	}
	s.conns = open
	if len(s.conns) >= sharedConns {
		s.next++
		if c := s.conns[s.next%len(s.conns)]; c.h2.ReserveNewRequest() { // if not, it was told just now: a new one
			use := c.use()
			s.mu.Unlock()
			return c, use, nil
		}
	}
	s.mu.Unlock()
	w, err := s.gen.dial(ctx, s.addr)
	if err != nil {
		return nil, record.Conn{}, err
	}
	h2, err := s.transport.NewClientConn(w)
	if err != nil {
		_ = w.Close()
		return nil, record.Conn{}, err
	}
	c := &sharedConn{w, h2}
	h2.ReserveNewRequest()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns = append(s.conns, c); s.closed {
		_ = w.Close()
	}
	return c, c.use(), nil
}

// use counts one more exchange. Under mu.
func (c *sharedConn) use() record.Conn {
	c.uses++
	return record.Conn{Local: c.local, Opened: c.opened, Uses: c.uses}
}

func (s *shared) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, c := range s.conns {
		_ = c.h2.Close()
	}
}

// unusable is what the library says of a connection that heard the goodbye between ReserveNewRequest and the request,
// of which it has sent nothing.
const unusable = "http2: client conn not usable"

// share plays one exchange on a shared connection and closes its account.
func (c *client) share(ctx context.Context, id string, due time.Time) {
	rec := c.gen.cfg.Record
	e := rec.Begin(c.Class, id, due)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.gen.cfg.Patience+c.Hold)
	defer cancel()
	for {
		w, use, err := c.mux.take(ctx)
		if err != nil {
			if ours(err) {
				rec.Broken("a client could not dial: " + err.Error())
			}
			rec.End(e, dialCause(err), err, false)
			return
		}
		rec.Sent(e, use)
		begun := false
		switch err := c.call(ctx, w, id, &begun); {
		case err == nil:
			rec.End(e, record.OK, nil, false)
			return
		case err.Error() == unusable && ctx.Err() == nil:
		default:
			var f *failure
			if !errors.As(err, &f) {
				f = &failure{sharedCause(err, begun), err}
			}
			rec.End(e, f.cause, f.err, false)
			return
		}
	}
}

// sharedCause says what an error of a stream means; begun: the head of a response had come.
func sharedCause(err error, begun bool) record.Cause {
	var stream http2.StreamError
	var timeout net.Error
	reset := errors.As(err, &stream) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout():
		return record.Timeout
	case reset && !begun:
		return record.ResetBefore
	case reset:
		return record.ResetMid
	case !begun:
		return record.ClosedBefore
	}
	return record.Truncated
}

// request is one of the class, with a body that nobody can send twice.
func (c *client) request(ctx context.Context, path, id string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.gen.cfg.Host+path, struct{ io.Reader }{body})
	if err == nil {
		r.Header.Set(origin.IDField, id)
	}
	return r, err
}

// sharedPost sends a body and wants it back.
func (c *client) sharedPost(ctx context.Context, w *sharedConn, id string, begun *bool) error {
	body := origin.Answer(id)
	r, err := c.request(ctx, origin.EchoPath, id, strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := w.h2.RoundTrip(r)
	if err != nil {
		return err
	}
	*begun = true
	got, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	_ = resp.Body.Close()
	if err != nil {
		return err
	}
	return c.judge(answer{status: resp.StatusCode, body: string(got)}, body)
}

// calls of gRPC: each message behind a byte for its compression and four for its length, and a status in the trailers.
// grpcCall sends one message after the other for Hold (at least one), and wants each back, and the status.
func (c *client) grpcCall(ctx context.Context, w *sharedConn, id string, begun *bool) error {
	out, in := io.Pipe()
	r, err := c.request(ctx, origin.CallPath, id, out)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	sent := make(chan int, 1)
	go func() { // ends with Hold, or with the body, which RoundTrip and Close below close
		n := 0
		for end := time.Now().Add(c.Hold); n == 0 || time.Now().Before(end); n++ {
			if n > 0 {
				time.Sleep(every) // pace of this client
			}
			if _, err := in.Write(origin.Message(fmt.Sprintf("%s message %d", id, n))); err != nil {
				break
			}
		}
		_ = in.Close()
		sent <- n
	}()
	got, err := c.answers(w, r, id, begun)
	_ = out.Close()
	if n := <-sent; err == nil && got != n {
		err = fail(record.NoTerminator, "%d answers to %d messages", got, n)
	}
	return err
}

// answers reads those of a call, and how it ended.
func (c *client) answers(w *sharedConn, r *http.Request, id string, begun *bool) (n int, err error) {
	resp, err := w.h2.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	*begun = true
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fail(record.OfStatus(resp.StatusCode), "status %d", resp.StatusCode)
	}
	for ; ; n++ {
		text, err := origin.ReadMessage(resp.Body)
		switch {
		case errors.Is(err, io.EOF):
			status := resp.Trailer.Get("Grpc-Status")
			if status == "" {
				status = resp.Header.Get("Grpc-Status") // an answer of trailers only
			}
			if status != "0" {
				return n, fail(record.StatusOther, "grpc-status %q: %s", status, resp.Trailer.Get("Grpc-Message"))
			}
			return n, nil
		case err != nil:
			return n, err
		case text != fmt.Sprintf("%s message %d", id, n):
			return n, fail(record.WrongBody, "message %q, want number %d", text, n)
		}
	}
}
