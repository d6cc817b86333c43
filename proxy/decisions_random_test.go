package proxy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/h2"
)

// Decisions wait for a place while clients leave, the log fills and empties, and the process drains: each request goes on once at most,
// none without a line, and no place of those that wait is lost.
func TestParkedDecisionsAndWhateverCrosses(t *testing.T) {
	for seed := range uint64(150) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		w, sink := ledgerWalk(t, Config{Listeners: []ListenerConfig{{Name: "web", Protocol: HTTP, HTTP2: true}, {Name: "db", Protocol: TCP}},
			Panicked: func(where string, v any, stack []byte) { t.Errorf("seed %d: %s: %v\n%s", seed, where, v, stack) }})
		sink.full = true
		var done []func() bool
		var ends []func()
		for i := range 1 + rnd.IntN(5) {
			if rnd.IntN(2) == 0 {
				c := w.dial("web")
				switch rnd.IntN(3) {
				case 0:
					c.Write([]byte(fmt.Sprintf("GET /audit/%d HTTP/1.1\r\nHost: a\r\n\r\n", i)))
				case 1:
					c.Write([]byte(fmt.Sprintf("POST /audit/%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", i)))
				case 2:
					c.Write([]byte(fmt.Sprintf("GET /audit/%d HTTP/1.1\r\nHost: a\r\n\r\nGET /kept/no HTTP/1.1\r\nHost: a\r\n\r\n", i)))
				}
				done = append(done, func() bool { return c.got != "" || c.eof || c.reset })
				ends = append(ends, c.Abort)
			} else {
				p := w.dialH2("web")
				a, b := p.call("GET", fmt.Sprintf("/audit/%d", i), true), p.call("GET", fmt.Sprintf("/audit/%d-b", i), true)
				if rnd.IntN(3) == 0 {
					w.pass(time.Duration(rnd.IntN(100)) * time.Millisecond)
					a.s.Reset(h2.Cancel)
					p.flush()
				} else {
					done = append(done, func() bool { return a.whole || a.reset != nil || p.eof || p.reset })
				}
				done = append(done, func() bool { return b.whole || b.reset != nil || p.eof || p.reset })
				ends = append(ends, p.Abort)
			}
		}
		w.pass(time.Duration(rnd.IntN(300)) * time.Millisecond)
		switch rnd.IntN(4) {
		case 0:
			w.drainFor(time.Duration(rnd.IntN(3000)) * time.Millisecond)
		case 1:
			for _, end := range ends {
				end()
			}
			done = nil
		}
		if rnd.IntN(2) == 0 {
			sink.full = false
		}
		for _, is := range done {
			w.until(fmt.Sprintf("seed %d: an answer", seed), is)
		}
		for _, end := range ends {
			end()
		}
		w.nothingHeld()
		if n := w.core.loops[0].decisions.parked; n != 0 {
			t.Errorf("seed %d: %d places are lost", seed, n)
		}
		lines, seen := strings.Join(sink.lines, ""), map[string]bool{}
		for _, req := range w.upReqs {
			path := strings.Fields(req)[1]
			if !strings.Contains(lines, `"path":"`+path+`"`) || seen[path] {
				t.Errorf("seed %d: %s went on, recorded %v, before %v", seed, path, strings.Contains(lines, path), seen[path])
			}
			seen[path] = true
		}
	}
}
