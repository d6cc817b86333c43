package world

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// eventStreams: streams of events without end, until a stop. Each one ends between two events, as a
// complete response, with a hint when to come back; every event that came before that arrived whole.
var eventStreams = &Scenario{
	Name:    "event streams",
	cluster: noKeys,
	route:   "drain: {event_stream: end},",
	stop:    4 * time.Second,
	play: func(w *world) {
		const n = 8
		w.origin("up:1", func(c *originConn) {
			c.sock.Write([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"))
			c.events(c.num, 0)
		})
		callers := make([]*caller, n)
		for i := range callers {
			w.net.After(w.net.Between(0, 4*time.Second), func() {
				callers[i] = newCaller(w, webAddr, func(c *caller) { c.ask() })
			})
		}
		w.net.After(25*time.Second, func() {
			for _, c := range callers {
				if c != nil {
					c.judgeStream()
				}
			}
			if r := w.tracker.Receipt(); r.CutTotal != 0 || r.Told != n {
				w.violate("the receipt has %d cut and %d told, want 0 and %d", r.CutTotal, r.Told, n)
			}
		})
	},
}

// anEvent is number i of the stream of a caller: one or more lines, with any end of line.
func anEvent(num, i int) string {
	end := []string{"\n", "\r\n", "\r"}[num%3]
	return fmt.Sprintf("id: %d%sdata: %s%s%s", i, end, strings.Repeat("x", num*37%300), end, end)
}

// events sends an event after the other, each in one piece or two, as chunks.
func (c *originConn) events(num, i int) {
	w := c.o.w
	if c.gone {
		return
	}
	e := anEvent(num, i)
	k := w.net.Rand.IntN(len(e))
	piece := func(s string) {
		if len(s) > 0 && !c.gone {
			c.sock.Write(fmt.Appendf(nil, "%x\r\n%s\r\n", len(s), s))
		}
	}
	piece(e[:k])
	w.net.After(w.net.Between(0, 60*time.Millisecond), func() {
		piece(e[k:])
		w.net.After(w.net.Between(0, 150*time.Millisecond), func() { c.events(num, i+1) })
	})
}

// judgeStream reads what a caller got of its stream.
func (c *caller) judgeStream() {
	w := c.w
	status, _, whole := c.answers()
	if status != 200 || whole != 1 || !c.ended {
		w.violate("the stream of caller %d ended as status %d, whole %d, closed %v", c.num, status, whole, c.ended)
		return
	}
	_, in, _ := bytes.Cut(c.got, []byte("\r\n\r\n"))
	var text strings.Builder
	for {
		var n int
		if _, err := fmt.Sscanf(string(in), "%x\r\n", &n); err != nil || n == 0 {
			break
		}
		_, in, _ = bytes.Cut(in, []byte("\r\n"))
		text.Write(in[:n])
		in = in[n+2:]
	}
	rest := text.String()
	i := 0
	for ; strings.HasPrefix(rest, anEvent(c.num, i)); i++ {
		rest = rest[len(anEvent(c.num, i)):]
	}
	if rest = strings.TrimPrefix(rest, "\n"); !strings.HasPrefix(rest, "retry: ") || !strings.HasSuffix(rest, "\n\n") || strings.Count(rest, "\n") != 2 {
		w.violate("the stream of caller %d ends within event %d: %q", c.num, i, rest)
	}
}
