package proxy

import (
	"crypto/tls"
	"errors"
	"io"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// TLS on the way in. The driver does it; here a connection waits for it, with a handle as any
// other has and for no longer than a head may take, and hears how it ended.

// opening is what a downstream connection waits for before it is its client who speaks.
type opening uint8

const (
	ready    opening = iota // for nothing
	preamble                // for a PROXY header, which names the ends
	securing                // for its TLS handshake
)

func (o opening) awaits() string {
	switch o {
	case preamble:
		return "for its PROXY header"
	case securing:
		return "for its TLS handshake"
	case ready:
	}
	return ""
}

// opening of a new connection.
func (ln *listener) opening(header bool) opening {
	switch {
	case header:
		return preamble
	case ln.cfg.TLS != nil:
		return securing
	}
	return ready
}

func (ln *listener) scheme() string {
	if ln.cfg.TLS != nil {
		return "https"
	}
	return "http"
}

// handshake is how a handshake ended.
type handshake uint8

const (
	handshakeDone handshake = iota
	handshakeNotTLS
	handshakeTimeout
	handshakeLeft   // the client closed
	handshakeClient // the client's certificate is not good
	handshakeFailed
	numHandshakes
)

func (h handshake) String() string {
	switch h {
	case handshakeDone:
		return "done"
	case handshakeNotTLS:
		return "not_tls"
	case handshakeTimeout:
		return "timeout"
	case handshakeLeft:
		return "client_left"
	case handshakeClient:
		return "client_certificate"
	case handshakeFailed:
		return "failed"
	case numHandshakes:
	}
	return "invalid"
}

var errHandshakeTimeout = errors.New("the TLS handshake took too long")

func (ln *listener) handshakeEnded(err error) {
	h := handshakeFailed
	switch {
	case err == nil:
		h = handshakeDone
	case errors.Is(err, engine.ErrNotTLS):
		h = handshakeNotTLS
	case errors.Is(err, errHandshakeTimeout):
		h = handshakeTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		h = handshakeLeft
	case errors.As(err, new(*tls.CertificateVerificationError)):
		h = handshakeClient
	}
	ln.handshakes[h].Add(1)
}

// startTLS begins the handshake of a connection that is securing.
func (l *loop) startTLS(id engine.ConnID, ln *listener, early []byte) {
	l.sh.(engine.Securer).StartTLS(id, ln.cfg.TLS.Config(), false, early)
}

func (c *httpConn) secure(early []byte) {
	if c.opening == securing && c.state != closing {
		c.l.startTLS(c.id, c.ln, early)
	}
}

// secured goes on once the handshake is over.
func (c *httpConn) secured(s engine.Secured) {
	if c.opening != securing || c.state == closing {
		return
	}
	if s.Err != nil {
		c.unsecured(s.Err)
		return
	}
	c.ln.handshakeEnded(nil)
	c.serverName, c.proof = s.State.ServerName, proofOf(s.State)
	c.opened()
	if s.State.NegotiatedProtocol == "h2" || c.ln.cfg.OnlyHTTP2 {
		c.upgradeToH2(nil)
	}
}

// unsecured ends a connection of which the handshake came to nothing. Who spoke HTTP in the
// clear is told so.
func (c *httpConn) unsecured(err error) {
	c.ln.handshakeEnded(err)
	if errors.Is(err, engine.ErrNotTLS) {
		c.opening = ready
		c.startExchange()
		c.x.replyClose(response{status: 400, reason: "not_tls", text: "this port speaks TLS (https)"})
		return
	}
	c.decide(drain.Errored)
	c.shut()
}

func (c *tcpConn) secure(early []byte) {
	if c.opening == securing {
		c.l.startTLS(c.id, c.ln, early)
	}
}

func (c *tcpConn) answer(v any) {
	s, ok := v.(engine.Secured)
	switch {
	case !ok || c.opening != securing || c.closing:
	case s.Err != nil:
		c.unsecured(s.Err)
	default:
		c.ln.handshakeEnded(nil)
		c.proof = proofOf(s.State)
		c.opened()
	}
}

func (c *tcpConn) unsecured(err error) {
	c.ln.handshakeEnded(err)
	c.shut(drain.Errored)
}

// misdirected reports whether the request is for a host that the server's certificate does not
// stand for (RFC 9110 section 15.5.20).
func (d *downstream) misdirected(host []byte) bool {
	return d.ln.cfg.TLS != nil && len(host) > 0 && d.serverName != string(host) && !d.ln.cfg.TLS.Covers(d.serverName, string(host))
}
