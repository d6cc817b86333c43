package h2

import "errors"

// Errors of [Conn.Open], beside the [*ConnError] of a connection that ended.
var (
	ErrFull      = errors.New("h2: the peer takes no more streams at this time")
	ErrLeaving   = errors.New("h2: the connection is being left")
	ErrExhausted = errors.New("h2: the connection has no more stream identifiers")
)

// Open sends a request of a client; its pseudo-fields stand first. end: it has no body. The stream is open until its
// Done or Reset. After ErrLeaving and ErrExhausted nothing can be opened here any more; ErrFull passes.
func (c *Conn) Open(fields []Field, end bool) (*Stream, error) {
	switch {
	case !c.cfg.Client:
		panic("BUG: h2: a server opens no streams")
	case c.err != nil:
		return nil, c.err
	case c.peerLeft || c.left || c.noticed:
		return nil, ErrLeaving
	case c.nextLocal > maxStreamID:
		return nil, ErrExhausted
	case len(c.open) >= int(c.peerStreams):
		return nil, ErrFull
	}
	s := c.add(c.nextLocal)
	c.nextLocal += 2
	for i := range fields {
		if string(fields[i].Name) == ":method" {
			s.toHead = string(fields[i].Value) == "HEAD"
			s.connect = string(fields[i].Value) == "CONNECT"
		}
	}
	s.sentHead = true
	c.sendHead(s.id, fields, end)
	if end {
		s.ended(finishData)
	}
	return s, nil
}
