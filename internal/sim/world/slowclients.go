package world

import (
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/proxy"
)

// slowClients: whoever sends a body, or takes a response, below the minimum rate is not waited
// for; whoever is slow and above it is, however long that lasts.
var slowClients = &Scenario{
	Name:    "slow clients",
	cluster: noKeys,
	stop:    75 * time.Second,
	configure: func(_ *world, cfg *proxy.Config) {
		cfg.MinRate, cfg.WriteTimeout = 100, 8*time.Second
	},
	play: func(w *world) {
		size := w.net.Window + 200_000 // more than the network holds
		w.origin("up:1", func(c *originConn) {
			if string(c.req.Method) == "GET" {
				c.answer(size)
				return
			}
			c.answer(2)
		})
		upload := func(rate, bytes int) *caller {
			return newCaller(w, webAddr, func(c *caller) {
				c.sock.Write(fmt.Appendf(nil, "POST /%d HTTP/1.1\r\nHost: app.test\r\nContent-Length: %d\r\n\r\n", c.num, bytes))
				c.drip(bytes, rate)
			})
		}
		download := func(rate, most int) *caller {
			return newCaller(w, altAddr, func(c *caller) {
				c.sip(rate, most)
				c.sock.Write(fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: app.test\r\n\r\n", c.num))
			})
		}
		up, steadyUp := upload(10, 30_000), upload(200, 10_000)
		down, steadyDown := download(20, 20), download(20_000, 2000)
		w.net.After(62*time.Second, func() { // a window of 30 s may have begun just before
			if status, reason, _ := up.answers(); status != 408 || reason != "body_rate" {
				w.violate("a client that sends 10 bytes a second holds its exchange: its answer is %d %s", status, reason)
			}
			if !steadyUp.served(1) {
				w.violate("a client that sends 200 bytes a second was not served: %.80q", steadyUp.got)
			}
			up.leave()
			steadyUp.leave()
		})
		// A quarter of the write timeout until somebody looks, the timeout, and the close.
		w.net.After(14*time.Second, func() {
			if !down.ended {
				w.violate("a client that takes 20 bytes a second holds its response")
			}
			down.sock.Abort()
		})
		w.net.After(40*time.Second, func() {
			if !steadyDown.served(1) {
				w.violate("a client that takes 20,000 bytes a second got %d of %d bytes", len(steadyDown.got), size)
			}
			steadyDown.leave()
		})
	},
}
