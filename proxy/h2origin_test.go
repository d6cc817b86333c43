package proxy

import (
	"fmt"
	"strings"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h2"
	"github.com/sluiceproxy/sluice/proxy/route"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// openH2 is open with an upstream that speaks HTTP/2.
func (w *walk) openH2(more ...string) {
	clusters, retire := w.core.upstreams.Update([]upstream.Config{{Name: "app", Endpoints: append([]string{"up:1"}, more...), HTTP2: true, Outlier: upstream.Outlier{Off: true}}})
	table, err := route.Compile([]route.Spec{{Name: "all", Hosts: []string{"*"}, Path: route.PathSpec{Prefix: "/"}}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.core.gate.Store(&Snapshot{table: table,
		routes: []Route{{Name: "all", chain: &chain{}, Cluster: clusters["app"], Authorizer: allowAll{}, stats: w.core.book.route("all")}}})
	retire()
	if err := w.tracker.Open(); err != nil {
		w.t.Fatal(err)
	}
}

// h2origin is one connection of a scripted upstream: the server half of the core.
type h2origin struct {
	*sim.Sock
	core   *h2.Conn
	serve  func(o *h2origin, q *h2request)
	asked  []*h2request
	greedy bool // gives no window back
	eof    bool
}

// h2request is what an upstream got.
type h2request struct {
	s        *h2.Stream
	head     string // name: value\n
	path     string
	body     strings.Builder
	trailers string
	whole    bool
	reset    *h2.Cause
}

// originH2 accepts connections to addr; serve is called with each head, each piece of body, and the end.
func (w *walk) originH2(addr string, cfg h2.Config, serve func(o *h2origin, q *h2request)) *[]*h2origin {
	all := new([]*h2origin)
	w.net.Listen(addr).Accept(func(s *sim.Sock) {
		o := &h2origin{Sock: s, serve: serve}
		o.core = h2.New(cfg, o)
		*all = append(*all, o)
		s.SetEvents(sim.Events{
			Data: func(b []byte) {
				_ = o.core.Receive(b, w.net.Now().Sub(sim.Epoch)) // what it says of errors the tests look at
				o.flush()
			},
			EOF: func() { o.eof = true; s.Close() },
		})
		o.flush()
	})
	return all
}

func (o *h2origin) flush() {
	for !o.eof && o.core.Wants() {
		o.Write(o.core.Append(nil, 1<<16))
	}
}

// answer sends a response with a body and, if they are not empty, trailers.
func (o *h2origin) answer(q *h2request, body string, trailers ...h2.Field) {
	head := strings.HasPrefix(q.head, ":method: HEAD\n")
	q.s.Head([]h2.Field{pair(":status", "200"), pair("x-from", "h2")}, head)
	if head {
		return
	}
	q.s.Write([]byte(body), len(trailers) == 0)
	if len(trailers) > 0 {
		q.s.Trailers(trailers)
	}
}

func (o *h2origin) Head(s *h2.Stream, fields []h2.Field, end bool) {
	q := &h2request{s: s, whole: end}
	s.Owner = q
	for _, f := range fields {
		q.head += fmt.Sprintf("%s: %s\n", f.Name, f.Value)
		if string(f.Name) == ":path" {
			q.path = string(f.Value)
		}
	}
	o.asked = append(o.asked, q)
	o.serve(o, q)
}

func (o *h2origin) Data(s *h2.Stream, b []byte, end bool) {
	q := s.Owner.(*h2request)
	q.body.Write(b)
	q.whole = end
	if !o.greedy {
		o.core.Consumed(s, len(b))
	}
	o.serve(o, q)
}

func (o *h2origin) Trailers(s *h2.Stream, fields []h2.Field) {
	q := s.Owner.(*h2request)
	for _, f := range fields {
		q.trailers += fmt.Sprintf("%s: %s\n", f.Name, f.Value)
	}
	q.whole = true
	o.serve(o, q)
}

func (o *h2origin) Reset(s *h2.Stream, why h2.Cause) {
	if q, ok := s.Owner.(*h2request); ok {
		q.reset = &why
	}
}
func (o *h2origin) Interim(*h2.Stream, []h2.Field)      {}
func (o *h2origin) TooLarge(*h2.Stream)                 {}
func (o *h2origin) Done(*h2.Stream)                     {}
func (o *h2origin) Room(*h2.Stream)                     {}
func (o *h2origin) Refused(uint32, h2.Reason)           {}
func (o *h2origin) Settings()                           {}
func (o *h2origin) GoAway(uint32, h2.ErrorCode, []byte) {}
func (o *h2origin) NoticeAcked()                        {}
func (o *h2origin) Pong()                               {}
