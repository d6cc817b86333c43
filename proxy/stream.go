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

// eventStream is what an exchange has while its response is a stream of events: a drain may end it, or what it was allowed by.
type eventStream struct {
	f      eventstream.Follower
	ending streamEnding // what is still to be done
	text   []byte       // what is sent in place of a piece
}

// streams begins to follow a response whose body can be ended cleanly: a text of no declared
// length.
func (x *exchange) streams(r *h1.Response) {
	x.events = nil
	if x.route == nil || !endless(r) || r.Status != 200 {
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

// farewell is drain.CauseFarewell for a stream that runs. Its connection is leaving: that holds for whatever comes
// on it from now on.
func (x *exchange) farewell() {
	if x.events == nil || !x.running() || x.up == nil {
		return
	}
	x.l.out = x.l.out[:0]
	if !x.relay(nil) {
		x.c.flush()
	}
}

// relay passes on a piece of the response; over: the exchange ended with it, because the stream was to end.
func (x *exchange) relay(data []byte) (over bool) {
	if x.events != nil {
		data, over = x.follow(data)
	}
	if len(data) > 0 {
		x.bytesOut += int64(len(data))
		x.c.data(data)
	}
	if over {
		x.endStream()
	}
	return over
}

// endStream ends the response cleanly, and gives the upstream up, which knows of no end.
func (x *exchange) endStream() {
	x.c.end(nil)
	x.c.flush()
	x.up.abandon()
	x.leaves = x.d.leaving
	x.c.over()
}

// follow is shown each piece of a stream, and returns what is to be sent of it and whether the
// stream ends with that.
func (x *exchange) follow(data []byte) (out []byte, over bool) {
	s := x.events
	if x.barredFor != goesOn {
		return s.endEvent(data)
	}
	if !x.d.leaving || s.ending == streamGoesOn {
		s.f.Feed(data)
		return data, false
	}
	at := 0
	for !x.mayTell(s) && at < len(data) {
		n, _ := s.f.Next(data[at:])
		at += n
	}
	if !x.mayTell(s) {
		return data, false
	}
	x.l.stats.streams[s.ending].Add(1)
	s.text = s.f.AppendRetry(append(s.text[:0], data[:at]...), x.l.comeBack())
	if s.ending == streamEnded {
		x.d.handle.Told()
		return s.text, true
	}
	s.ending = streamGoesOn
	s.f.Feed(data[at:])
	return append(s.text, data[at:]...), false
}

// mayTell reports whether a stream that is to hear of the drain stands between two events. A hint
// alone does not go before its first byte, which may be of a byte order mark.
func (x *exchange) mayTell(s *eventStream) bool {
	return (s.f.Boundary() || x.l.cfg.Faults.EndInsideEvent) && (s.f.Begun() || s.ending == streamEnded)
}

// comeBack is how long a client is to wait before it connects again: from one second to five, so
// that not all come at once.
func (l *loop) comeBack() time.Duration {
	return time.Second + time.Duration(l.rnd.Uint64()%4000)*time.Millisecond
}
