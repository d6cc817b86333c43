package proxy

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// stream is a walk whose route has a way to end event streams, and an upstream that is written to by
// hand.
type stream struct {
	*walk
	up     *sim.Sock
	upGone bool
	client *client
}

func openStream(t *testing.T, ending streamEnding, version, head string) *stream {
	s := &stream{walk: newWalk(t, Config{MoveFrom: 1})}
	s.open()
	r := &s.core.gate.Load().routes[0]
	r.streams, r.terms = ending, &drain.Terms{EarlyStreams: ending != streamGoesOn}
	s.net.Listen("up:1").Accept(func(c *sim.Sock) {
		c.SetEvents(sim.Events{
			Data:  func([]byte) { s.up = c },
			EOF:   func() { s.upGone = true; c.Close() },
			Reset: func() { s.upGone = true },
		})
	})
	s.client = s.dial("web")
	s.client.Write([]byte("GET / HTTP/" + version + "\r\nHost: a\r\n\r\n"))
	s.until("the request", func() bool { return s.up != nil })
	if head != "" {
		s.up.Write([]byte("HTTP/1.1 200 OK\r\n" + head + "\r\n\r\n"))
		s.until("the head", s.client.has("\r\n\r\n"))
		s.client.got = ""
	}
	return s
}

const (
	chunkedEvents = "Content-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked"
	closingEvents = "Content-Type: Text/Event-Stream\r\nConnection: close"
)

// chunk frames a piece as an upstream does.
func chunk(s string) string {
	const digits = "0123456789abcdef"
	return string(digits[len(s)/16]) + string(digits[len(s)%16]) + "\r\n" + s + "\r\n"
}

// body takes the chunks of what the client got apart; whole: the last one came.
func (s *stream) body() (body string, whole bool) {
	s.t.Helper()
	in := s.client.got
	for {
		m := regexp.MustCompile("^([0-9A-Fa-f]+)\r\n").FindStringSubmatch(in)
		if m == nil {
			return body, false
		}
		n := 0
		for _, c := range strings.ToLower(m[1]) {
			n = n*16 + strings.IndexRune("0123456789abcdef", c)
		}
		in = in[len(m[0]):]
		if n == 0 {
			if in != "\r\n" {
				s.t.Errorf("%q behind the last chunk", in)
			}
			return body, true
		}
		if len(in) < n+2 {
			return body, false
		}
		body, in = body+in[:n], in[n+2:]
	}
}

var hint = regexp.MustCompile("retry: [1-5][0-9]{3}\n\n$")

// TestStreamEndsBetweenEvents: the drain comes within one, which is sent to its end; what stands
// behind it in the same piece is not. The response is whole, the client told, the upstream given up.
func TestStreamEndsBetweenEvents(t *testing.T) {
	s := openStream(t, streamEnded, "1.1", chunkedEvents)
	s.up.Write([]byte(chunk("data: 1\n\ndata: ")))
	s.until("some of it", s.client.has("data: 1\n\ndata: "))
	s.drain(10 * time.Second)
	s.pass(4 * time.Second)
	if s.client.eof || s.upGone {
		t.Fatal("it ended within an event")
	}
	s.up.Write([]byte(chunk("2\n\ndata: 3\n\n")))
	s.until("the end", func() bool { return s.client.eof })
	body, whole := s.body()
	if !whole || !strings.HasPrefix(body, "data: 1\n\ndata: 2\n\nretry: ") || !hint.MatchString(body) {
		t.Errorf("the client got %q (whole: %v)", body, whole)
	}
	s.client.Close()
	s.until("drained", func() bool { return s.tracker.State() == drain.Drained })
	s.until("the upstream hears of it", func() bool { return s.upGone })
	r := s.tracker.Receipt()
	if err := r.Audit(); err != nil || !r.Clean() || r.Told != 1 || r.Outcomes.Completed != 1 || r.Exchanges.Draining != 1 || s.client.reset {
		t.Errorf("%v, receipt %v %+v %+v, reset %v", err, r, r.Outcomes, r.Exchanges, s.client.reset)
	}
	if st := s.core.Stats(); st.StreamsEnded != 1 || st.StreamsHinted != 0 {
		t.Errorf("%d ended, %d hinted", st.StreamsEnded, st.StreamsHinted)
	}
}

// TestQuietStreamEnds at once, where it stands between two events; so does one that lasts until the
// close, for a client that knows no chunks.
func TestQuietStreamEnds(t *testing.T) {
	for _, version := range []string{"1.1", "1.0"} {
		for _, head := range []string{chunkedEvents, closingEvents} {
			s := openStream(t, streamEnded, version, head)
			first := "data: 1\r\n\r\n: ping\r\n"
			if head == chunkedEvents {
				s.up.Write([]byte(chunk(first)))
			} else {
				s.up.Write([]byte(first))
			}
			s.until("an event", s.client.has(": ping\r\n"))
			s.drain(10 * time.Second)
			began := s.net.Now()
			s.until("the end", func() bool { return s.client.eof || s.client.reset })
			body, whole := s.client.got, true
			if version == "1.1" {
				body, whole = s.body()
			}
			if took := s.net.Now().Sub(began); !whole || s.client.reset || !strings.HasPrefix(body, first) || !hint.MatchString(body) || took > 2100*time.Millisecond {
				t.Errorf("HTTP/%s, %q: %q after %v (whole: %v, reset: %v)", version, head, body, took, whole, s.client.reset)
			}
			s.client.Close()
			s.until("drained", func() bool { return s.tracker.State() == drain.Drained })
			if r := s.tracker.Receipt(); !r.Clean() {
				t.Errorf("receipt %v", r)
			}
		}
	}
}

// TestStreamIsHinted: it goes on, with one hint between two events, and is cut at the deadline.
func TestStreamIsHinted(t *testing.T) {
	s := openStream(t, streamHinted, "1.1", chunkedEvents)
	s.drain(5 * time.Second)
	s.pass(2 * time.Second)
	if s.client.got != "" {
		t.Fatalf("a hint before the first byte: %q", s.client.got)
	}
	for _, piece := range []string{"\ufeffdata: 1\n", "\ndata: 2\n\ndata: 3", "\n\ndata: 4\n\n"} {
		s.up.Write([]byte(chunk(piece)))
		s.pass(100 * time.Millisecond)
	}
	body, whole := s.body()
	if clean := regexp.MustCompile("retry: [1-5][0-9]{3}\n\n").ReplaceAllString(body, "|"); whole || clean != "\ufeffdata: 1\n\n|data: 2\n\ndata: 3\n\ndata: 4\n\n" {
		t.Errorf("the client got %q", body)
	}
	s.until("drained", func() bool { return s.tracker.State() == drain.Drained })
	if r := s.tracker.Receipt(); r.CutTotal != 1 || s.core.Stats().StreamsHinted != 1 {
		t.Errorf("receipt %v", r)
	}
}

// TestStreamThatBeginsInTheDrain: its head comes when the connection has heard of it already.
func TestStreamThatBeginsInTheDrain(t *testing.T) {
	s := openStream(t, streamEnded, "1.1", "")
	s.drain(10 * time.Second)
	s.pass(3 * time.Second)
	s.up.Write([]byte("HTTP/1.1 200 OK\r\n" + chunkedEvents + "\r\n\r\n" + chunk("data: 1\n\n")))
	s.until("the end", func() bool { return s.client.eof })
	if !strings.Contains(s.client.got, "Connection: close\r\n") || !strings.HasSuffix(s.client.got, "\n\n\r\n0\r\n\r\n") {
		t.Errorf("the client got %q", s.client.got)
	}
	s.client.Close()
	s.until("drained", func() bool { return s.tracker.State() == drain.Drained })
}

// TestRequestBehindAStream: a client that has asked for more already is served, though its stream ends.
func TestRequestBehindAStream(t *testing.T) {
	s := openStream(t, streamEnded, "1.1", chunkedEvents)
	s.client.Write([]byte("GET /next HTTP/1.1\r\nHost: a\r\n\r\n"))
	s.pass(100 * time.Millisecond)
	first := s.up
	s.drain(10 * time.Second)
	s.until("the end of the stream, and the next request", func() bool { return s.up != first })
	s.up.Write([]byte(ok))
	s.until("its answer", s.client.has("\r\n\r\nhi"))
	if !strings.Contains(s.client.got, "0\r\n\r\nHTTP/1.1 200 OK\r\n") || !strings.Contains(s.client.got, "Connection: close") {
		t.Errorf("the client got %q", s.client.got)
	}
	s.client.Close()
	s.until("drained", func() bool { return s.tracker.State() == drain.Drained })
	if r := s.tracker.Receipt(); !r.Clean() || r.Exchanges.Draining != 2 {
		t.Errorf("receipt %v", r)
	}
}

// TestWhatIsNoStreamIsLeftAlone: other types, declared lengths, encoded bodies, and routes that did
// not ask.
func TestWhatIsNoStreamIsLeftAlone(t *testing.T) {
	for _, c := range []struct {
		ending streamEnding
		head   string
	}{
		{streamGoesOn, chunkedEvents},
		{streamEnded, "Content-Type: text/plain\r\nTransfer-Encoding: chunked"},
		{streamEnded, "Transfer-Encoding: chunked"},
		{streamEnded, "Content-Encoding: gzip\r\n" + chunkedEvents},
		{streamEnded, "Content-Type: text/event-stream\r\nContent-Length: 100"},
	} {
		s := openStream(t, c.ending, "1.1", c.head)
		s.drain(4 * time.Second)
		s.pass(3 * time.Second)
		if s.client.got != "" || s.client.eof || s.upGone {
			t.Errorf("%q: the client got %q, eof %v", c.head, s.client.got, s.client.eof)
		}
		s.until("drained", func() bool { return s.tracker.State() == drain.Drained })
		if r := s.tracker.Receipt(); r.CutTotal != 1 {
			t.Errorf("%q: receipt %v", c.head, r)
		}
	}
}

// A stream of events on HTTP/2, from an upstream of HTTP/2, ends between two events as well.
func TestStreamEndsOnHTTP2(t *testing.T) {
	w := h2Walk(t, Config{})
	w.openH2()
	r := &w.core.gate.Load().routes[0]
	r.streams, r.terms = streamEnded, &drain.Terms{EarlyStreams: true}
	var q *h2request
	all := w.originH2("up:1", h2.Config{}, func(o *h2origin, got *h2request) {
		q = got
		q.s.Head([]h2.Field{pair(":status", "200"), pair("content-type", "text/event-stream")}, false)
		q.s.Write([]byte("data: 1\n\ndata: 2"), false)
	})
	p := w.dialH2("web")
	c := p.call("GET", "/", true)
	w.until("the first event", func() bool { return strings.HasSuffix(c.body.String(), "data: 2") })
	w.drainFor(10 * time.Second)
	for _, r := range w.core.loops[0].roles {
		if d, ok := r.(*h2Conn); ok {
			w.core.loops[0].evict(d.id, d, drain.CauseFarewell)
			w.core.loops[0].settle()
		}
	}
	w.sleep(time.Second)
	if c.whole {
		t.Fatal("it ended within an event")
	}
	q.s.Write([]byte("\n\ndata: 3\n\n"), false)
	(*all)[0].flush()
	w.until("the end", func() bool { return c.done })
	if got := c.body.String(); !regexp.MustCompile(`^data: 1\n\ndata: 2\n\nretry: \d+\n\n$`).MatchString(got) {
		t.Errorf("%q", got)
	}
	w.until("the upstream hears of it, and the client is told", func() bool { return q.reset != nil && p.eof })
}
