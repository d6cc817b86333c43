//go:build linux

package epoll

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// foreign accepts from a net.Listener that is no socket of the system's TCP: a wrapper, a
// listener in a test. Its connections must have a descriptor; others are closed. Owned by
// Driver; joined by Unlisten and Close.
type foreign struct {
	d      *Driver
	index  int
	nl     net.Listener
	ending chan struct{} // closed once, by stop
	joined chan struct{} // closed by run when it returns
	once   sync.Once
}

func (d *Driver) acceptForeign(index int, nl net.Listener) *foreign {
	f := &foreign{d: d, index: index, nl: nl, ending: make(chan struct{}), joined: make(chan struct{})}
	d.wg.Add(1)
	go f.run() // ends when the listener is closed
	return f
}

func (f *foreign) stop() {
	f.once.Do(func() { close(f.ending) })
	f.nl.Close()
}

func (f *foreign) run() {
	defer f.d.wg.Done()
	defer close(f.joined)
	var delay time.Duration
	for {
		nc, err := f.nl.Accept()
		switch {
		case err == nil:
			delay = 0
			f.hand(nc)
			continue
		case errors.Is(err, net.ErrClosed), f.d.ctx.Err() != nil:
			return
		}
		if f.d.cfg.AcceptError != nil {
			f.d.cfg.AcceptError(f.index, err)
		}
		delay = min(max(2*delay, minBackOff), maxBackOff)
		select {
		case <-time.After(delay):
		case <-f.ending:
			return
		}
	}
}

// hand gives a connection to the loop with the fewest, and waits until its handler has
// seen it: join must not come before that.
func (f *foreign) hand(nc net.Conn) {
	defer nc.Close() // the loop has a duplicate
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	fd, err := duplicate(sc)
	if err != nil {
		if f.d.cfg.AcceptError != nil {
			f.d.cfg.AcceptError(f.index, err)
		}
		return
	}
	least := f.d.loops[0]
	for _, l := range f.d.loops[1:] {
		if l.load.Load() < least.load.Load() {
			least = l
		}
	}
	seen := make(chan struct{})
	least.load.Add(1)
	g := greetNote{fd: fd, listener: f.index, peer: engine.Peer{Remote: netAddr(nc.RemoteAddr()), Local: netAddr(nc.LocalAddr())}, seen: seen}
	if !least.post(g) {
		least.load.Add(-1)
		closeFD(fd)
		return
	}
	select {
	case <-seen:
	case <-f.d.ctx.Done(): // the loop greets or closes it all the same
	}
}

func netAddr(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
