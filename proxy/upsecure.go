package proxy

import (
	"crypto/tls"
	"errors"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// TLS on the way out. The handshake has what the dial has left of the cluster's connect timeout,
// and what fails in it has sent nothing of a request: another endpoint may be tried. A PROXY header
// goes before it, in the clear.

// UpstreamTLS secures connections to upstreams. Its methods may be called from any goroutine.
type UpstreamTLS interface {
	// Client is what a handshake with the server at addr (host:port) begins with, the caller's to
	// change. serverName is what it has to prove to be; empty: what else is known, or the host in
	// addr. version changes when a connection that was secured before is not to be used again.
	Client(serverName, addr string) (cfg *tls.Config, version uint64)
	Version() uint64
}

var errNoHTTP2 = errors.New("the upstream does not speak HTTP/2 (protocol: http2)")

var errHandshakeCut = errors.New("the upstream broke the TLS handshake off")

// upTLS is the TLS of an upstream connection.
type upTLS struct {
	began   time.Time // of the dial
	runs    bool      // the handshake does
	on      bool      // it is over, and was good
	version uint64    // of what it was secured with
}

// secureUpstream begins a handshake.
func (l *loop) secureUpstream(id engine.ConnID, ep *upstream.Endpoint, protocols ...string) (version uint64) {
	cfg, version := l.cfg.UpstreamTLS[ep.TLS.Profile].Client(ep.TLS.ServerName, ep.Addr)
	cfg.NextProtos = protocols
	l.sh.(engine.Securer).StartTLS(id, cfg, true, nil)
	return version
}

// connectLeft is how long connecting to ep may still take; never 0, which would be for ever.
func (l *loop) connectLeft(ep *upstream.Endpoint, began time.Time) time.Duration {
	return max(ep.Cluster().Config().ConnectTimeout-l.now().Sub(began), time.Millisecond)
}

// insecure counts a handshake that failed.
func insecure(ep *upstream.Endpoint, err error) {
	ep.TLSErrs.Add(1)
	if errors.As(err, new(*tls.CertificateVerificationError)) {
		ep.BadCerts.Add(1)
	}
}

// secures begins TLS on a connection that was just made; false: it is to be in the clear.
func (u *upConn) secures() bool {
	if u.ep.TLS == nil {
		return false
	}
	if v := u.ep.Cluster().Config().ProxyProtocol; v > 0 {
		u.l.out = appendProxyHeader(u.l.out[:0], v, u.x.d.ends.peer())
		u.l.sh.Send(u.id, u.l.out)
	}
	u.tls.runs = true
	u.tls.version = u.l.secureUpstream(u.id, u.ep, "http/1.1")
	u.arm(engine.TimerState, u.l.connectLeft(u.ep, u.tls.began))
	return true
}

func (u *upConn) answer(v any) {
	if s, ok := v.(engine.Secured); ok {
		u.secured(s.Err)
	}
}

// secured goes on once the handshake is over.
func (u *upConn) secured(err error) {
	if !u.tls.runs || u.state != upConnecting {
		return
	}
	u.tls.runs = false
	u.arm(engine.TimerState, 0)
	if err != nil {
		insecure(u.ep, err)
		u.l.sh.Close(u.id, cutLinger) // it hears why
		u.unconnected()
		return
	}
	u.tls.on = true
	u.ep.Connects.Add(1)
	u.l.trip(u.x.d.id)
	u.start(u.x)
}

// unconnected ends the attempt to connect: nothing was sent.
func (u *upConn) unconnected() {
	x := u.x
	u.state, u.x = upEnded, nil
	u.ep.Active.Add(-1)
	u.ep.ConnectErrs.Add(1)
	u.ep.Failed(u.l.now())
	x.connectFailed(u.ep)
}

// stale reports whether a connection was secured with what does not count any more: authorities or
// a certificate that have been replaced since.
func (u *upConn) stale() bool {
	return u.tls.on && u.l.cfg.UpstreamTLS[u.ep.TLS.Profile].Version() != u.tls.version
}

// secures begins TLS on a connection that was just made, for HTTP/2 and nothing else.
func (u *upH2) secures() bool {
	if u.ep.TLS == nil {
		return false
	}
	u.tls.runs = true
	u.tls.version = u.l.secureUpstream(u.id, u.ep, "h2")
	u.arm(engine.TimerState, u.l.connectLeft(u.ep, u.tls.began))
	return true
}

func (u *upH2) answer(v any) {
	if s, ok := v.(engine.Secured); ok {
		if s.Err == nil && s.State.NegotiatedProtocol != "h2" {
			s.Err = errNoHTTP2
		}
		u.secured(s.Err)
	}
}

// secured goes on once the handshake is over.
func (u *upH2) secured(err error) {
	if !u.tls.runs || u.state != upConnecting {
		return
	}
	u.tls.runs = false
	u.arm(engine.TimerState, 0)
	if err != nil {
		insecure(u.ep, err)
		u.l.sh.Close(u.id, cutLinger) // it hears why
		u.failed()
		return
	}
	u.tls.on = true
	u.ep.Connects.Add(1)
	u.begin()
}

// stale: see upConn.stale.
func (u *upH2) stale() bool {
	return u.tls.on && u.l.cfg.UpstreamTLS[u.ep.TLS.Profile].Version() != u.tls.version
}

// secures begins TLS on the connection of a TCP route.
func (d *tcpDial) secures() bool {
	if d.ep.TLS == nil {
		return false
	}
	d.sendHeader()
	d.securing = true
	d.l.secureUpstream(d.id, d.ep) // what is spoken there nobody here knows
	d.l.sh.Arm(d.id, engine.TimerState, d.l.connectLeft(d.ep, d.began))
	return true
}

func (d *tcpDial) answer(v any) {
	if s, ok := v.(engine.Secured); ok {
		d.secured(s.Err)
	}
}

func (d *tcpDial) secured(err error) {
	if d.c == nil || !d.securing {
		return
	}
	d.securing = false
	if err != nil {
		insecure(d.ep, err)
		d.failed()
		return
	}
	d.connected()
}

func (d *tcpDial) fired(t engine.Timer) {
	if t == engine.TimerState {
		d.secured(errHandshakeTimeout)
	}
}

// sendHeader names the client to an upstream that wants that.
func (d *tcpDial) sendHeader() {
	if v := d.ep.Cluster().Config().ProxyProtocol; v > 0 {
		d.l.out = appendProxyHeader(d.l.out[:0], v, d.c.ends.peer())
		d.l.sh.Send(d.id, d.l.out)
	}
}

// secures begins the TLS of a probe, with the time that its answer has.
func (u *checkConn) secures(header []byte) bool {
	if u.ck.ep.TLS == nil {
		return false
	}
	u.l.sh.Send(u.id, header)
	u.arm(engine.TimerState, u.ck.cfg().Timeout)
	if u.ck.cfg().Path == "" {
		u.l.secureUpstream(u.id, u.ck.ep)
	} else {
		u.l.secureUpstream(u.id, u.ck.ep, "http/1.1")
	}
	return true
}

func (u *checkConn) answer(v any) {
	s, ok := v.(engine.Secured)
	switch {
	case !ok || u.ended:
	case s.Err != nil:
		insecure(u.ck.ep, s.Err)
		u.verdict(false)
	case u.ck.cfg().Path == "":
		u.verdict(true)
	default:
		u.ask(u.l.out[:0])
	}
}
