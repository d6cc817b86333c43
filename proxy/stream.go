package proxy

import (
	"bytes"
	"time"

	"github.com/sluiceproxy/sluice/proxy/eventstream"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// A stream of server-sent events has no end of its own. Where its route says so, a drain gives it
// one, or a hint, as soon as draining begins (drain.CauseFarewell), between two events.

// streamEnding is what a route wants of its event streams. The zero value leaves them alone.
type streamEnding uint8

const (
	streamGoesOn streamEnding = iota // until its upstream, the client or the deadline ends it
	streamHinted                     // it goes on, and the client hears how long to wait before it connects again
	streamEnded                      // it ends, behind that hint
)

// eventStream is what an exchange has while its response is a stream of events of such a route.
type eventStream struct {
	f      eventstream.Follower
	ending streamEnding // what is still to be done
	text   []byte       // what is sent in place of a piece
}

// streams begins to follow a response whose body can be ended cleanly: a text of no declared
// length.
func (c *httpConn) streams(r *h1.Response) {
	x := c.x
	x.events = nil
	if x.route == nil || x.route.streams == streamGoesOn || !x.respChunk && !x.untilClose || r.Status != 200 {
		return
	}
	isStream := false
	for i := range r.Fields {
		switch f := &r.Fields[i]; f.ID {
		case h1.ContentType:
			kind, _, _ := bytes.Cut(f.Value, []byte{';'})
			isStream = bytes.EqualFold(bytes.TrimSpace(kind), []byte("text/event-stream"))
		case h1.ContentEncoding:
			return
		}
	}
	if isStream {
		x.events = &eventStream{ending: x.route.streams}
	}
}

// farewell is drain.CauseFarewell: it holds for what runs, and for whatever comes on this
// connection from now on.
func (c *httpConn) farewell() {
	c.leaving = true
	x := c.x
	if x.events == nil || !x.running || x.up == nil {
		return
	}
	c.l.out = c.l.out[:0]
	data, over := c.follow(nil)
	if over {
		x.up.endStream(data)
		return
	}
	x.up.sendEvents(data)
	c.sendOut(c.l.out)
	c.l.out = c.l.out[:0]
}

// follow is shown each piece of a stream, and returns what is to be sent of it and whether the
// stream ends with that.
func (c *httpConn) follow(data []byte) (out []byte, over bool) {
	s := c.x.events
	if !c.leaving || s.ending == streamGoesOn {
		s.f.Feed(data)
		return data, false
	}
	at := 0
	for !c.mayTell(s) && at < len(data) {
		n, _ := s.f.Next(data[at:])
		at += n
	}
	if !c.mayTell(s) {
		return data, false
	}
	c.l.stats.streams[s.ending].Add(1)
	s.text = s.f.AppendRetry(append(s.text[:0], data[:at]...), c.comeBack())
	if s.ending == streamEnded {
		c.handle.Told()
		return s.text, true
	}
	s.ending = streamGoesOn
	s.f.Feed(data[at:])
	return append(s.text, data[at:]...), false
}

// mayTell reports whether a stream that is to hear of the drain stands between two events. A hint
// alone does not go before its first byte, which may be of a byte order mark.
func (c *httpConn) mayTell(s *eventStream) bool {
	return (s.f.Boundary() || c.l.cfg.Faults.EndInsideEvent) && (s.f.Begun() || s.ending == streamEnded)
}

// comeBack is how long a client is to wait before it connects again: from one second to five, so
// that not all come at once.
func (c *httpConn) comeBack() time.Duration {
	return time.Second + time.Duration(c.l.rnd.Uint64()%4000)*time.Millisecond
}

// sendEvents adds a piece of a body that we frame to what leaves with this call.
func (u *upConn) sendEvents(data []byte) {
	l, x := u.l, u.c.x
	x.bytesOut += int64(len(data))
	switch {
	case len(data) == 0:
	case x.respChunk:
		l.out = h1.AppendChunk(l.out, data)
	default:
		l.out = append(l.out, data...)
	}
}

// endStream ends the response with data, cleanly, and gives the upstream up, which knows of no end.
// The client is closed behind it, unless it has asked for something else already.
func (u *upConn) endStream(data []byte) {
	l, c := u.l, u.c
	x := c.x
	u.sendEvents(data)
	if x.respChunk {
		l.out = h1.AppendLastChunk(l.out, nil)
	}
	c.sendOut(l.out)
	l.out = l.out[:0]
	u.abandon()
	x.close = x.close || len(c.in) == 0
	c.endExchange()
}
