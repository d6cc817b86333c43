package world

import (
	"fmt"
	"time"
)

// Upstreams that fail: what is sent again is bounded, and they are left out.

// retryBudget: an upstream that closes on every request does not get each of them twice.
var retryBudget = &Scenario{
	Name:    "retry budget",
	cluster: func(*world) string { return "outlier: {off: true}" },
	stop:    8 * time.Second,
	play: func(w *world) {
		const n = 200
		o := w.origin("up:1", func(c *originConn) { c.close() })
		w.every(10*time.Millisecond, n, func(int) {
			newCaller(w, webAddr, func(c *caller) {
				c.send(fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: app.test\r\n\r\n", c.num))
			})
		})
		w.net.After(5*time.Second, func() {
			for _, c := range w.callers {
				if status, reason, _ := c.answers(); status != 502 {
					w.violate("caller %d got %d %s from an upstream that closes on everything", c.num, status, reason)
				}
				c.leave()
			}
			// A fifth of what goes out, retries included, and three for each second of ten.
			again, most := o.requests-n, (n/5+30)*5/4+1
			if again > most {
				w.violate("%d of %d requests went out again, more than the budget of %d", again, n, most)
			}
			if again < 30 {
				w.violate("only %d of %d requests went out again, less than the budget", again, n)
			}
		})
	},
}

// ejection: an endpoint that fails what it is sent is left out, but for one request now and
// then; once it is well it has its share again.
var ejection = &Scenario{
	Name:    "ejection",
	cluster: func(*world) string { return "outlier: {failures: 2, eject_for: 300ms, eject_max: 1s}" },
	two:     true,
	stop:    14 * time.Second,
	play: func(w *world) {
		const (
			gap  = 25 * time.Millisecond
			sick = 3 * time.Second
			back = 2 * time.Second // until it is asked again: eject_max, and the request itself
			well = 3 * time.Second
		)
		began := w.net.Now()
		bad := w.origin("up:1", func(c *originConn) {
			if w.net.Now().Sub(began) < sick {
				c.reset()
				return
			}
			c.answer(2)
		})
		w.origin("up:2", func(c *originConn) { c.answer(2) })
		w.every(gap, int((sick+back+well)/gap), func(int) {
			newCaller(w, webAddr, func(c *caller) {
				c.send(fmt.Appendf(nil, "POST /%d HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", c.num))
			})
		})
		w.net.After(sick, func() {
			if sent := int(sick / gap); bad.requests > sent/5 {
				w.violate("an endpoint that fails everything got %d of %d requests", bad.requests, sent)
			}
		})
		w.net.After(sick+back, func() {
			had := bad.requests
			w.net.After(well, func() {
				if n, sent := bad.requests-had, int(well/gap); n < sent/3 {
					w.violate("an endpoint that is well again got %d of %d requests", n, sent)
				}
			})
		})
	},
}

// recovery: an endpoint that fails its health checks is left out; once it passes them it has its
// share again.
var recovery = &Scenario{
	Name: "recovery",
	cluster: func(*world) string {
		return "outlier: {off: true}, health_check: {path: /healthz, interval: 200ms, timeout: 300ms, healthy: 1, unhealthy: 2}"
	},
	two:  true,
	stop: 10 * time.Second,
	play: func(w *world) {
		const (
			gap     = 25 * time.Millisecond
			noticed = time.Second
			sick    = 3 * time.Second
			well    = 3 * time.Second
		)
		began, sent := w.net.Now(), 0
		w.origin("up:1", func(c *originConn) {
			if string(c.req.Path) != probePath {
				sent++
			}
			if w.net.Now().Sub(began) < sick {
				c.reset()
				return
			}
			c.answer(2)
		})
		w.origin("up:2", func(c *originConn) { c.answer(2) })
		w.every(gap, int((sick+noticed+well)/gap), func(int) {
			newCaller(w, webAddr, func(c *caller) {
				c.send(fmt.Appendf(nil, "POST /%d HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", c.num))
			})
		})
		w.net.After(noticed, func() { sent = 0 })
		w.net.After(sick, func() {
			if sent > 0 {
				w.violate("an endpoint that fails its checks got %d requests", sent)
			}
		})
		w.net.After(sick+noticed, func() {
			sent = 0
			w.net.After(well, func() {
				if all := int(well / gap); sent < all/3 {
					w.violate("an endpoint that passes its checks again got %d of %d requests", sent, all)
				}
			})
		})
	},
}

// leastRequest: of two endpoints the one that takes its time gets the fewer requests.
var leastRequest = &Scenario{
	Name:    "least request",
	cluster: func(*world) string { return "balance: least_request, outlier: {off: true}" },
	two:     true,
	stop:    9 * time.Second,
	play: func(w *world) {
		const n = 160
		slow := w.origin("up:1", func(c *originConn) { w.net.After(time.Second, func() { c.answer(2) }) })
		w.origin("up:2", func(c *originConn) { c.answer(2) })
		w.every(25*time.Millisecond, n, func(int) {
			newCaller(w, webAddr, func(c *caller) {
				c.send(fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n", c.num))
			})
		})
		w.net.After(7*time.Second, func() {
			for _, c := range w.callers {
				if !c.served(1) {
					w.violate("caller %d was not served: %.80q", c.num, c.got)
				}
			}
			if slow.requests > n*3/10 {
				w.violate("the endpoint that takes a second for each got %d of %d requests", slow.requests, n)
			}
		})
	},
}
