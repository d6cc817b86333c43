package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// streamRoute has every stream of the one route ended by a drain.
func (w *walk) streamRoute() {
	r := &w.core.gate.Load().routes[0]
	r.streams, r.terms = streamEnded, &drain.Terms{EarlyStreams: true}
}

// TestStreamsOfAnH2ClientEnd: each of a connection, whatever its upstream speaks, the one that is in the
// middle of an event when that is whole; and a request beside them is answered.
func TestStreamsOfAnH2ClientEnd(t *testing.T) {
	for _, upH2 := range []bool{false, true} {
		w := h2Walk(t, Config{})
		say := map[string]func(string){} // by path
		if upH2 {
			w.openH2()
			w.originH2("up:1", h2.Config{}, func(o *h2origin, q *h2request) {
				q.s.Head([]h2.Field{pair(":status", "200"), pair("content-type", "text/event-stream")}, false)
				say[q.path] = func(b string) { q.s.Write([]byte(b), false); o.flush() }
			})
		} else {
			w.open()
			w.upstream(func(s *sim.Sock, got []byte) {
				if !strings.HasSuffix(string(got), "\r\n\r\n") {
					return
				}
				s.Write([]byte("HTTP/1.1 200 OK\r\n" + chunkedEvents + "\r\n\r\n"))
				say[strings.Fields(string(got))[1]] = func(b string) { s.Write([]byte(chunk(b))) }
			})
		}
		w.streamRoute()
		p := w.dialH2("web")
		quiet, busy := p.call("GET", "/quiet", true), p.call("GET", "/busy", true)
		w.until("both began", func() bool { return len(say) == 2 && quiet.status+busy.status == "200200" })
		say["/quiet"]("data: 1\n\n")
		say["/busy"]("data: 1\n\ndata: ")
		w.until("the events", func() bool { return quiet.body.Len() == 9 && busy.body.Len() == 15 })
		w.drainFor(10 * time.Second)
		w.drain(10 * time.Second) // drives it
		w.until("the quiet one ends", func() bool { return quiet.whole })
		if busy.whole || !hint.MatchString(quiet.body.String()) || !strings.HasPrefix(quiet.body.String(), "data: 1\n\nretry: ") {
			t.Errorf("upstream h2 %v: the quiet one got %q, the busy one ended: %v", upH2, quiet.body.String(), busy.whole)
		}
		say["/busy"]("2\n\ndata: 3\n\n")
		w.until("the busy one ends", func() bool { return busy.whole })
		if b := busy.body.String(); !strings.HasPrefix(b, "data: 1\n\ndata: 2\n\nretry: ") || !hint.MatchString(b) || busy.reset != nil {
			t.Errorf("upstream h2 %v: the busy one got %q", upH2, b)
		}
		w.until("drained", func() bool { return w.tracker.State() == drain.Drained })
		if r := w.tracker.Receipt(); !r.Clean() || r.Audit() != nil || r.Told != 1 {
			t.Errorf("upstream h2 %v: receipt %v, %v", upH2, r, r.Audit())
		}
		w.noneLeft()
	}
}

// TestStreamOfAnH2UpstreamEnds for a client of HTTP/1.1.
func TestStreamOfAnH2UpstreamEnds(t *testing.T) {
	w := h2Walk(t, Config{})
	w.openH2()
	w.streamRoute()
	var q *h2request
	w.originH2("up:1", h2.Config{}, func(o *h2origin, asked *h2request) {
		if q == nil {
			q = asked
			q.s.Head([]h2.Field{pair(":status", "200"), pair("content-type", "text/event-stream")}, false)
			q.s.Write([]byte("data: 1\n\n"), false)
		}
	})
	s := &stream{walk: w, client: w.dial("web")}
	s.client.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("an event", s.client.has("data: 1\n\n"))
	s.client.got = s.client.got[strings.Index(s.client.got, "\r\n\r\n")+4:]
	w.drain(10 * time.Second)
	w.until("the end", func() bool { return s.client.eof })
	if body, whole := s.body(); !whole || !hint.MatchString(body) || !strings.HasPrefix(body, "data: 1\n\nretry: ") {
		t.Errorf("the client got %q", body)
	}
	w.until("the upstream hears of it", func() bool { return q.reset != nil && q.reset.Code == h2.Cancel })
	s.client.Close()
	w.until("drained", func() bool { return w.tracker.State() == drain.Drained })
}
