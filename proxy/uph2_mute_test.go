package proxy

import (
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/h2"
)

// A connection to an upstream that is gone without a word is not used again once a request has waited on it in vain.
func TestUpH2GoneWithoutAWord(t *testing.T) {
	w := h2Walk(t, Config{})
	w.openH2()
	var mute *h2origin
	all := w.originH2("up:1", h2.Config{}, func(o *h2origin, q *h2request) {
		if mute == nil {
			mute = o
			o.answer(q, "once")
			o.flush()
			o.eof = true // from here on nothing is said
			return
		}
		if o != mute {
			whole(o, q)
		}
	})
	p := w.dialH2("web")
	for i, want := range []string{"200", "504", "200", "200"} {
		c := p.call("POST", "/", true)
		w.until("an answer", func() bool { return c.whole || c.reset != nil })
		if c.status != want {
			t.Errorf("%d: status %s, want %s, on %d connections", i, c.status, want, len(*all))
		}
		w.sleep(time.Second)
	}
	p.Close()
	w.retired()
}
