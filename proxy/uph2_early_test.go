package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/h2"
)

// connection breaks later, whoever else is on it hears of that.
func TestUpH2AnswersBeforeTheBody(t *testing.T) {
	for _, breaks := range []bool{false, true} {
		t.Run(fmt.Sprintf("breaks %v", breaks), func(t *testing.T) {
			panics := 0
			w := h2Walk(t, Config{Panicked: func(string, any, []byte) { panics++ }})
			w.openH2()
			all := w.originH2("up:1", h2.Config{StreamWindow: 65535}, func(o *h2origin, q *h2request) {
				if q.path == "/up" && q.s != nil && q.body.Len() == 65535 {
					w.net.After(time.Second, func() { o.answer(q, "enough"); o.flush() })
				}
			})
			p := w.dialH2("web")
			wait := p.call("POST", "/wait", true)
			w.until("a connection", func() bool { return len(*all) == 1 && len((*all)[0].asked) == 1 })
			o := (*all)[0]
			o.greedy = true
			up := p.call("POST", "/up", false)
			p.write(up, strings.Repeat("x", 65535+10_000), true)
			w.until("the answer", func() bool { return up.whole })
			w.sleep(100 * time.Millisecond)
			if n := o.core.Streams(); n != 1 {
				t.Errorf("%d streams are open, want 1", n)
			}
			if breaks {
				o.Abort()
				w.until("the other", func() bool { return wait.done || wait.reset != nil })
				if wait.status != "502" {
					t.Errorf("status %q", wait.status)
				}
			}
			p.Abort()
			if n := w.core.Orphans(); n > 0 || panics > 0 {
				t.Errorf("%d exchanges wait for nobody, %d panics", n, panics)
			}
			w.retired()
		})
	}
}
