package portable

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/internal/synshed"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// cookieEvery is how often the count of SYN cookies is read. A close compares with a
// reading that is one to two intervals old: handshakes that began by cookie before
// that are long over.
const cookieEvery = 10 * time.Second

// cookies keeps the readings for the close of a listener.
type cookies struct {
	older, newer atomic.Pointer[synshed.Cookies]
}

func (c *cookies) read() {
	now := synshed.CountCookies()
	if prev := c.newer.Load(); prev != nil {
		c.older.Store(prev)
	} else {
		c.older.Store(&now)
	}
	c.newer.Store(&now)
}

// watchCookies reads until the driver closes. Owner: Driver.
func (d *Driver) watchCookies() {
	defer d.wg.Done()
	t := time.NewTicker(cookieEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			d.cookies.read()
		case <-d.ctx.Done():
			return
		}
	}
}

// shedAndClose closes a TCP listener without resetting a handshake where the
// platform allows it. The accept loop runs on meanwhile and empties the queue.
func (d *Driver) shedAndClose(ln net.Listener) engine.ListenerEnd {
	r := synshed.Close(context.WithoutCancel(d.ctx), ln, *d.cookies.older.Load())
	return engine.ListenerEnd{Proven: r.Proven, Reason: r.Reason, Residue: r.Residue}
}
