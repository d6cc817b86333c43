package proxy

import (
	"net/netip"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/proxyproto"
)

// The PROXY protocol. In: a listener with ProxyFrom expects a header first on each
// connection, from peers of that list only; whom it names is from then on the peer. The
// handle is taken before, so that a drain waits for such a connection as for any other.
// Out: the first bytes on each connection to a cluster that wants a header.

// proxied reports whether a connection must begin with a header, and whether this peer may
// send one.
func (core *Core) proxied(ln *listener, peer engine.Peer) (expected, trusted bool) {
	if len(ln.cfg.ProxyFrom) == 0 {
		return false, true
	}
	for _, p := range ln.cfg.ProxyFrom {
		if p.Contains(peer.Remote.Addr().Unmap()) {
			return true, true
		}
	}
	return true, core.cfg.Faults.TrustAnyPeer
}

// stranger is the role of a connection that ends before it is anything: its peer is not
// among those whose header would be believed.
type stranger struct{ l *loop }

func (l *loop) turnAway(id engine.ConnID, ln *listener) {
	l.refused(ln, refusedProxyHeader)
	l.unadmitted.add()
	l.setRole(id, &stranger{l})
	l.sh.Close(id, 0)
}

func (s *stranger) closed(engine.End)  { s.l.unadmitted.done() }
func (s *stranger) received([]byte)    {}
func (s *stranger) eof()               {}
func (s *stranger) sent()              {}
func (s *stranger) moved(int64, bool)  {}
func (s *stranger) dialed(error)       {}
func (s *stranger) answer(any)         {}
func (s *stranger) fired(engine.Timer) {}
func (s *stranger) evict(drain.Cause)  {}

// ends are those of a downstream connection, or what its PROXY header says they are.
// Connections have the local one in common: an idle one is to be small.
type ends struct {
	remote netip.AddrPort
	local  *netip.AddrPort
}

func (e ends) peer() engine.Peer { return engine.Peer{Remote: e.remote, Local: *e.local} }

func (l *loop) ends(p engine.Peer) ends {
	if l.local == nil || *l.local != p.Local {
		l.local = &p.Local
	}
	return ends{p.Remote, l.local}
}

// preamble takes what came of the header of a connection, and all that came of it before.
// Once it is whole, it changes ends and returns what stands behind it; done or an error
// ends the wait.
func (l *loop) preamble(b []byte, e *ends, handle *drain.Conn) (rest []byte, done bool, err error) {
	h, n, err := proxyproto.Parse(b)
	if err != nil || n == 0 {
		return nil, false, err
	}
	if h.Known() && !l.cfg.Faults.ForgetNamed {
		*e = l.ends(engine.Peer{Remote: h.Source, Local: h.Destination})
		if handle != nil {
			handle.SetPeer(h.Source)
		}
	}
	return b[n:], true, nil
}

// readPreamble takes bytes of the header; what it returns is the client's.
func (c *httpConn) readPreamble(b []byte) []byte {
	c.in = append(c.in, b...)
	rest, done, err := c.l.preamble(c.in, &c.ends, c.handle)
	switch {
	case err != nil:
		c.badPreamble()
	case done:
		c.unknown, c.in = false, nil
		wait := c.l.cfg.IdleTimeout
		if c.handle == nil {
			wait = c.l.cfg.HeaderTimeout
		}
		c.arm(engine.TimerState, wait)
		return rest
	}
	return nil
}

// badPreamble closes a connection that nothing is known about; no answer, for there was no
// request.
func (c *httpConn) badPreamble() {
	c.l.refused(c.ln, refusedProxyHeader)
	c.decide(drain.Errored)
	c.linger = 0
	c.shut()
}

func (c *tcpConn) badPreamble() {
	c.l.refused(c.ln, refusedProxyHeader)
	c.hasty = true
	c.shut(drain.Errored)
}

func (c *tcpConn) received(b []byte) {
	if c.closing || !c.unknown {
		return
	}
	c.early = append(c.early, b...)
	rest, done, err := c.l.preamble(c.early, &c.ends, c.handle)
	switch {
	case err != nil:
		c.badPreamble()
	case done:
		c.arm(engine.TimerState, 0)
		c.unknown, c.early = false, rest
		c.admitted()
	}
}

func (c *tcpConn) eof() {
	if c.unknown {
		c.shut(drain.ClientClosed)
	}
}

// appendProxyHeader writes what a new connection to a cluster begins with.
func appendProxyHeader(dst []byte, version int, peer engine.Peer) []byte {
	h := proxyproto.Header{Source: peer.Remote, Destination: peer.Local}
	if h.Source.IsValid() && !h.Destination.IsValid() { // a header names both: of what is unknown, any address
		h.Destination = netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
		if h.Source.Addr().Unmap().Is4() {
			h.Destination = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
		}
	}
	return proxyproto.Append(dst, version, h)
}
