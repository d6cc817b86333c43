package httpdrain

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// HTTP/2. What net/http has can only say GOAWAY with the last stream that it has seen, and
// requests that are on their way are then refused: a client cannot send a body again that it
// no longer has. So the frames go through here, to say it in two steps, as RFC 9113 section
// 6.8 asks: GOAWAY for no stream (2^31-1) and a PING; once the PING is acknowledged the client
// has seen both and begins nothing new; a moment later GOAWAY with the last stream.
//
// x/net calls its server deprecated, since from Go 1.27 on it hands the connection to the one
// in net/http. By its source it does so for any net.Conn, which is all that this needs.

// pingWait is how long the acknowledgement of the PING is waited for.
const pingWait = 2 * time.Second

// pingSettle is from the answer of the PING to the last GOAWAY.
const pingSettle = 100 * time.Millisecond

// configureHTTP2 lets HTTP/2 connections of srv go through h2Conn. Whoever has set
// TLSNextProto has taken HTTP/2 into own hands, or switched it off.
func (s *Server) configureHTTP2() error {
	if s.inner.TLSNextProto != nil {
		return nil
	}
	//lint:ignore SA1019 http.Server lets nobody below its frames
	h2 := &http2.Server{}
	//lint:ignore SA1019 the same
	if err := http2.ConfigureServer(s.inner, h2); err != nil {
		return fmt.Errorf("configure HTTP/2: %w", err)
	}
	s.inner.TLSNextProto[http2.NextProtoTLS] = func(srv *http.Server, c *tls.Conn, h http.Handler) {
		own := connOf(c)
		if own == nil {
			return
		}
		var ctx context.Context
		if b, ok := h.(interface{ BaseContext() context.Context }); ok {
			ctx = b.BaseContext() // of the connection, as ConnContext made it
		}
		hc := &h2Conn{Conn: c, own: own, in: frames{preface: len(http2.ClientPreface)}, open: map[uint32]bool{}}
		s.enter(hc)
		defer s.exit(hc)
		//lint:ignore SA1019 the same
		h2.ServeConn(hc, &http2.ServeConnOpts{Context: ctx, Handler: h, BaseConfig: srv})
	}
	return nil
}

// enter registers a connection. Invariant: it looks at the goodbye after it registered, so
// either this or tellHTTP2 says it.
func (s *Server) enter(hc *h2Conn) {
	s.mu.Lock()
	s.http2[hc] = true
	s.mu.Unlock()
	hc.own.h2.Store(hc)
	if hc.own.handle.Goodbye() {
		hc.goodbye()
	}
}

func (s *Server) exit(hc *h2Conn) {
	s.mu.Lock()
	delete(s.http2, hc)
	s.mu.Unlock()
	hc.leave()
}

// tellHTTP2 says goodbye to every HTTP/2 connection that is to be told by now.
func (s *Server) tellHTTP2() {
	s.mu.Lock()
	told := make([]*h2Conn, 0, len(s.http2))
	for hc := range s.http2 {
		told = append(told, hc)
	}
	s.mu.Unlock()
	for _, hc := range told {
		if hc.own.handle.Goodbye() {
			s.running.Go(hc.goodbye) // ends when the frames are written, or the connection is cut
		}
	}
}

// h2Conn is the frames of one HTTP/2 connection, below the HTTP/2 server and above TLS.
type h2Conn struct {
	*tls.Conn
	own *conn

	in frames // owned by whoever reads: one at a time

	under atomic.Int32 // streams that were begun and are not answered in full

	mu       sync.Mutex // guards what follows, and the order of writes
	out      frames
	greeted  bool            // the server's SETTINGS have left: nothing may come before
	wanted   bool            // goodbye was called
	said     bool            // the first GOAWAY and the PING have left
	settling bool            // the PING came back
	acked    bool            // and a moment has passed, or it was waited for long enough
	over     bool            // the last GOAWAY has left
	gone     bool            // leave was called
	streams  uint32          // the last that was begun
	open     map[uint32]bool // those that under counts
	waitPing *time.Timer
}

// NetConn leads connOf to the connection below.
func (c *h2Conn) NetConn() net.Conn { return c.own }

// Read passes on what came, and looks at the frames in it.
func (c *h2Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.scan(b[:n], c.received)
	return n, err
}

// received is called with each frame that came; payload has its first 8 bytes at most.
func (c *h2Conn) received(f frame, payload []byte) {
	switch {
	case f.kind == http2.FrameHeaders:
		c.mu.Lock()
		if f.stream > c.streams { // otherwise these are trailers
			c.streams = f.stream
			c.open[f.stream] = true
			c.under.Add(1)
		}
		c.mu.Unlock()
	case f.kind == http2.FrameRSTStream:
		c.mu.Lock()
		c.answered(f.stream)
		c.mu.Unlock()
	case f.kind == http2.FramePing && f.flags.Has(http2.FlagPingAck) && string(payload) == goodbyePing:
		c.answeredPing()
	}
}

// goodbyePing is the payload of our PING; nobody else's has it.
const goodbyePing = "httpdrn!"

// Write passes on what the server sends, and says what is to be said between two frames.
func (c *h2Conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.Conn.Write(b)
	c.out.scan(b[:n], c.sent)
	if err == nil {
		err = c.say()
	}
	if c.over && len(c.open) == 0 {
		c.own.partEnded()
	}
	return n, err
}

// sent is called with each frame that has left. Call with mu held.
func (c *h2Conn) sent(f frame, _ []byte) {
	c.greeted = true
	switch f.kind {
	case http2.FrameData, http2.FrameHeaders:
		if f.flags.Has(http2.FlagDataEndStream) { // the same bit in both
			c.answered(f.stream)
		}
	case http2.FrameRSTStream:
		c.answered(f.stream)
	}
}

// answered: nothing more is owed on a stream. Call with mu held.
func (c *h2Conn) answered(stream uint32) {
	if c.open[stream] {
		delete(c.open, stream)
		c.under.Add(-1)
	}
}

// goodbye begins the goodbye.
func (c *h2Conn) goodbye() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wanted || c.gone {
		return
	}
	c.wanted = true
	c.own.told.Store(true)
	c.own.handle.Told()
	_ = c.say() // whoever reads or writes next sees what is wrong
}

// answeredPing leaves a moment for what the client gave a stream before it knew, and sends behind its answer: golang.org/x/net
// does, when the request's goroutine is slower than the one that reads.
func (c *h2Conn) answeredPing() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.said && !c.settling && !c.acked && !c.gone {
		c.settling = true
		c.waitPing.Reset(pingSettle)
	}
}

// acknowledged ends the wait for the PING.
func (c *h2Conn) acknowledged() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.said && !c.acked && !c.gone {
		c.acked = true
		c.waitPing.Stop()
		_ = c.say()
	}
}

// say writes what is due, if the last frame that was sent is complete. Call with mu held.
func (c *h2Conn) say() error {
	if !c.greeted || !c.out.between() {
		return nil
	}
	if c.wanted && !c.said {
		c.said = true
		out := appendFrame(nil, http2.FrameGoAway, []byte{0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0})
		if _, err := c.Conn.Write(appendFrame(out, http2.FramePing, []byte(goodbyePing))); err != nil {
			return err
		}
		c.waitPing = time.AfterFunc(pingWait, c.acknowledged)
	}
	if c.acked && !c.over {
		c.over = true
		last := c.streams
		if _, err := c.Conn.Write(appendFrame(nil, http2.FrameGoAway, []byte{byte(last >> 24), byte(last >> 16), byte(last >> 8), byte(last), 0, 0, 0, 0})); err != nil {
			return err
		}
		if len(c.open) == 0 {
			c.own.partEnded()
		}
	}
	return nil
}

// begun reports whether the client ever began a stream.
func (c *h2Conn) begun() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams > 0
}

// ended reports whether the client has nothing more to begin.
func (c *h2Conn) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

// leave ends what h2Conn has going.
func (c *h2Conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
	if c.waitPing != nil {
		c.waitPing.Stop()
	}
}
