package load

import (
	"context"
	"errors"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/record"
)

// client plays one class.
type client struct {
	Profile
	gen  *Generator
	pool *pool   // nil: a connection for each exchange
	mux  *shared // not nil: exchanges share connections, and call plays them
	call func(ctx context.Context, w *sharedConn, id string, begun *bool) error
	addr string
	play func(c *client, w *conn, id string) (keep bool, err error)
	safe bool // may be sent again while no byte of an answer came
}

func (g *Generator) client(p Profile) *client {
	c := &client{Profile: p, gen: g, addr: g.cfg.Web, safe: true}
	switch p.Class {
	case record.Short:
		c.pool, c.play = &pool{}, (*client).short
	case record.Slow:
		c.pool, c.play = &pool{}, (*client).slow
	case record.KeepAlive:
		c.pool, c.play, c.safe = &pool{fifo: true}, (*client).post, g.cfg.Path != ""
	case record.PerRequest:
		c.play = (*client).single
	case record.Upload:
		c.pool, c.play, c.safe = &pool{}, (*client).upload, false
	case record.WebSocket:
		c.play, c.safe = (*client).socket, false
	case record.Events:
		c.play = (*client).events
	case record.TCP:
		c.play, c.safe, c.addr = (*client).tunnel, false, g.cfg.Raw
	case record.Idle:
		c.play = (*client).short
	case record.H2Post:
		c.call = c.sharedPost
	case record.GRPC, record.GRPCStream:
		c.call = c.grpcCall
	default:
		panic("BUG: load: no client for " + p.Class.String())
	}
	if c.call != nil {
		c.mux = newShared(g, c.addr)
	}
	return c
}

// run plays one exchange and closes its account.
func (c *client) run(ctx context.Context, id string, due time.Time) {
	if c.Class == record.Idle {
		c.idle(ctx, id, due)
		return
	}
	if c.mux != nil {
		c.share(ctx, id, due)
		return
	}
	var w *conn
	if c.pool != nil {
		w = c.pool.take()
	}
	w, keep := c.one(ctx, w, id, due)
	c.leave(w, keep)
}

func (c *client) leave(w *conn, keep bool) {
	switch {
	case w == nil:
	case keep && c.pool != nil:
		c.pool.put(w)
	default:
		_ = w.Close()
	}
}

// one plays an exchange on w, or on a new connection if w is nil.
func (c *client) one(ctx context.Context, w *conn, id string, due time.Time) (_ *conn, keep bool) {
	rec := c.gen.cfg.Record
	e := rec.Begin(c.Class, id, due)
	if w == nil {
		var err error
		if w, err = c.gen.dial(ctx, c.addr); err != nil {
			if ours(err) {
				rec.Broken("a client could not dial: " + err.Error())
			}
			rec.End(e, dialCause(err), err, c.safe)
			return nil, false
		}
	}
	rec.Sent(e, w.begin(c.gen.cfg.Patience+c.Hold))
	keep, err := c.play(c, w, id)
	if err == nil {
		rec.End(e, record.OK, nil, false)
		return w, keep
	}
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{w.cause(err), err}
	}
	rec.End(e, f.cause, f.err, c.safe && w.got == 0)
	return w, false
}

// idle asks, says nothing for long, and asks again on the same connection. If it was closed
// meanwhile and we could know, nothing was lost and nothing is asked.
func (c *client) idle(ctx context.Context, id string, due time.Time) {
	w, keep := c.one(ctx, nil, id, due)
	if w == nil {
		return
	}
	defer w.Close()
	if !keep {
		return
	}
	again := time.Now().Add(c.Hold)
	pause := time.NewTimer(c.Hold)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
		return
	}
	if w.in.Buffered() == 0 && alive(w.Conn) {
		c.one(ctx, w, id+"-again", again)
	}
}
