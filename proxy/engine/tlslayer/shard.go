package tlslayer

import (
	"crypto/tls"
	"errors"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// state of a TLS connection; see the package's drawing.
type state uint8

const (
	greeting    state = iota // the client's first message is not whole yet
	handshaking              // a goroutine has it
	open
	failed  // the handshake failed, and the handler was told
	closing // nothing but Closed comes
)

// conn is a TLS connection. Owned by its loop, but for tls and wire while a handshake runs.
type conn struct {
	id     engine.ConnID
	tls    *tls.Conn
	wire   *wire
	cfg    *tls.Config // until the handshake begins
	err    error       // why it broke
	state  state
	client bool
	paused bool  // by the handler
	held   bool  // paused by us: too much came ahead of the handshake
	more   bool  // there may be plaintext that was not handed over
	posted bool  // a resumeNote is on its way
	eof    bool  // the handler was told
	owed   bool  // Sent is due
	ours   int   // bytes of our own that were queued since the queue was last empty
	mute   int   // bytes that came since the handler last got one
	alert  int64 // size of an alert's record
	fin    bool  // close_notify was sent
	last   tail

	ahead []byte // plaintext that Unread has opened
}

// shard implements engine.Securer for the handler above, and engine.Handler for the driver
// below. Connections without TLS pass through.
type shard struct {
	engine.Shard
	d     *Driver
	h     engine.Handler
	conns []*conn // by slot; nil: not TLS
	plain []byte  // scratch of every Read
	peek  []byte  // the same of Unread, which may be asked within one
	out   []byte  // scratch of every Write
}

// What a shard posts to itself.
type (
	flightNote struct{ c *conn } // a handshake has something to send
	doneNote   struct {
		c   *conn
		err error
	}
	resumeNote struct{ c *conn }
)

// maxEarly is how much a peer may send ahead of its handshake before it has to wait.
const maxEarly = 16 << 10

// lastWord bounds the end of a connection that broke: its alert is to arrive.
const lastWord = time.Second

// The largest records that can hold an alert. Whoever closes has its goodbye answered by one, and
// that is no request which we lost.
const (
	alertTLS13 = 24
	alertTLS12 = 53 // with CBC and SHA-1
)

// What a peer may have crypto/tls do that is no traffic: it could go on for ever.
const (
	maxOurs = 4 << 10  // answers to key updates that it does not take
	maxMute = 17 << 10 // records in a row that hold no byte for the handler; the most that one is, and is not whole
)

var errFlood = errors.New("the peer sends TLS messages that carry nothing")

var errTruncated = errors.New("the peer ended the connection without ending TLS (no close_notify)")

func (s *shard) conn(id engine.ConnID) *conn {
	if slot := id.Slot(); slot < len(s.conns) {
		if c := s.conns[slot]; c != nil && c.id == id {
			return c
		}
	}
	return nil
}

func (s *shard) forget(c *conn) { s.conns[c.id.Slot()] = nil }

// StartTLS implements engine.Securer.
func (s *shard) StartTLS(id engine.ConnID, cfg *tls.Config, client bool, early []byte) {
	for id.Slot() >= len(s.conns) {
		s.conns = append(s.conns, nil)
	}
	c := &conn{id: id, wire: newWire(s.d.working), cfg: cfg, client: client}
	c.wire.announce = func() { s.d.Post(id.Shard(), flightNote{c}) }
	s.conns[id.Slot()] = c
	c.wire.feed(early)
	s.greet(c)
}

// greet begins the handshake once the first message is there.
func (s *shard) greet(c *conn) {
	if !c.client {
		complete, notTLS := whole(c.wire.in)
		switch {
		case notTLS:
			// Told in a call of its own: StartTLS may be on the stack.
			s.d.Post(c.id.Shard(), doneNote{c, engine.ErrNotTLS})
			c.state = handshaking
			return
		case !complete && len(c.wire.in) > maxHello:
			s.d.Post(c.id.Shard(), doneNote{c, errors.New("the ClientHello is too large")})
			c.state = handshaking
			return
		case !complete:
			return
		}
		c.tls = tls.Server(c.wire, c.cfg)
	} else {
		c.tls = tls.Client(c.wire, c.cfg)
	}
	c.cfg, c.state = nil, handshaking
	s.d.begin(c)
}

// done ends a handshake.
func (s *shard) done(c *conn, err error) {
	if s.conn(c.id) != c || c.state != handshaking {
		return
	}
	c.wire.opened()
	s.flush(c)
	if err != nil {
		c.state = failed
		if errors.Is(err, engine.ErrNotTLS) {
			s.forget(c)
			if c.held {
				s.Shard.Resume(c.id)
			}
		}
		s.h.Answer(c.id, engine.Secured{Err: err})
		return
	}
	c.state = open
	st := c.tls.ConnectionState()
	c.ours, c.mute, c.alert = 0, c.wire.unread(), alertTLS12
	if st.Version >= tls.VersionTLS13 {
		c.alert = alertTLS13
	}
	s.h.Answer(c.id, engine.Secured{State: &st})
	s.drain(c)
}

// drain hands over what is left in memory, and only then lets more come.
func (s *shard) drain(c *conn) {
	s.pump(c)
	switch {
	case c.state != open:
	case c.paused:
		s.Shard.Pause(c.id)
	default:
		s.Shard.Resume(c.id)
	}
}

// pump hands over what can be opened.
func (s *shard) pump(c *conn) {
	if s.plain == nil {
		s.plain = make([]byte, maxRecord)
	}
	for c.state == open && !c.paused && !c.eof {
		b, err := s.read(c)
		if len(b) > 0 {
			c.mute = 0
			s.h.Received(c.id, b)
			if c.state != open {
				break
			}
		}
		if err == nil {
			continue
		}
		if err == error(wouldBlock{}) {
			s.flush(c)
			if c.ours > maxOurs || c.mute > maxMute {
				s.broken(c, errFlood)
			}
			break
		}
		s.ended(c, err)
	}
	c.more = c.state == open && c.paused && !c.eof
	s.flush(c)
}
