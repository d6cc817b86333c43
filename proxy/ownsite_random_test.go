package proxy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/h2"
)

// Requests to a site come in pieces, are given up, come behind one another and while the process leaves: each is asked once
// at most, and whoever stays has one answer.
func TestSitesAndWhateverCrosses(t *testing.T) {
	for seed := range uint64(150) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		w, d := deskWalk(t, Config{Listeners: []ListenerConfig{{Name: "web", Protocol: HTTP, HTTP2: true}},
			Panicked: func(where string, v any, stack []byte) { t.Errorf("seed %d: %s: %v\n%s", seed, where, v, stack) }})
		moment := func(max int) {
			if n := rnd.IntN(max); n > 0 {
				w.pass(time.Duration(n) * 100 * time.Microsecond)
			}
		}
		if seed%2 == 0 {
			c := w.dial("web")
			n := 1 + rnd.IntN(4)
			text := ""
			for i := range n {
				switch rnd.IntN(4) {
				case 0:
					text += fmt.Sprintf("POST /.sluice/desk/%d HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", i)
				case 1:
					text += fmt.Sprintf("GET /.sluice/desk/%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
				case 2:
					text += fmt.Sprintf("POST /.sluice/desk/%d HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", i)
				case 3:
					text += "GET /app HTTP/1.1\r\nHost: a\r\n\r\n"
				}
			}
			stays := rnd.IntN(3) > 0
			leaves := rnd.IntN(3) == 0
			for len(text) > 0 {
				k := 1 + rnd.IntN(len(text))
				if rnd.IntN(3) == 0 {
					k = len(text)
				}
				c.Write([]byte(text[:k]))
				text = text[k:]
				moment(30)
				if leaves && rnd.IntN(4) == 0 {
					w.lameDuck()
					leaves = false
				}
				if !stays && rnd.IntN(3) == 0 {
					break
				}
			}
			if stays {
				w.until(fmt.Sprintf("seed %d: all answers", seed), func() bool {
					finals := strings.Count(c.got, "HTTP/1.1 303") + strings.Count(c.got, "HTTP/1.1 200")
					return finals == n || c.eof || c.reset
				})
			}
			if rnd.IntN(2) == 0 {
				c.Abort()
			} else {
				c.Close()
			}
		} else {
			p := w.dialH2("web")
			var calls []*h2call
			for range 1 + rnd.IntN(90) {
				switch rnd.IntN(4) {
				case 0:
					a := p.call("POST", "/.sluice/desk", false, "content-length: 5")
					p.write(a, "hel", false)
					moment(3)
					if rnd.IntN(4) == 0 {
						a.s.Reset(h2.Cancel)
						p.flush()
						continue
					}
					p.write(a, "lo", true)
					calls = append(calls, a)
				case 1, 2:
					a := p.call("GET", "/.sluice/desk", true)
					if rnd.IntN(4) == 0 {
						moment(5)
						a.s.Reset(h2.Cancel)
						p.flush()
						continue
					}
					calls = append(calls, a)
				case 3:
					calls = append(calls, p.call("GET", "/app", true))
				}
			}
			gone := rnd.IntN(4) == 0
			if rnd.IntN(3) == 0 {
				w.drainFor(time.Duration(rnd.IntN(2000)) * 100 * time.Microsecond)
				gone = gone || rnd.IntN(2) == 0
			}
			if !gone {
				w.until(fmt.Sprintf("seed %d: all answers", seed), func() bool {
					for _, a := range calls {
						if !a.whole && a.reset == nil && !p.eof && !p.reset {
							return false
						}
					}
					return true
				})
			}
			p.Abort()
		}
		w.nothingHeld()
		seen := map[string]int{}
		for _, line := range d.asked {
			if seen[line]++; seed%2 == 0 && seen[line] > 1 {
				t.Errorf("seed %d: asked twice: %s", seed, line)
			}
		}
	}
}
