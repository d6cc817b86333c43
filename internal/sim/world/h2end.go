package world

import (
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// h2end is one end of an HTTP/2 connection over the simulated network. Its role embeds it and is its [h2.Events].
type h2end struct {
	w     *world
	sock  *sim.Sock
	core  *h2.Conn
	ended bool // by anybody: nothing is sent any more
}

// receive hands over what came, and sends what the core makes of it.
func (e *h2end) receive(b []byte) {
	if e.ended {
		return
	}
	if err := e.core.Receive(b, e.w.since()); err != nil {
		e.w.violate("a peer of %v speaks no HTTP/2: %v", e.sock.Addr, err)
	}
	e.flush()
}

// flush sends what the core has, once the connection stands. It must not be called by what the core calls.
func (e *h2end) flush() {
	for !e.ended && e.sock.Alive() && e.core.Wants() {
		e.w.scratch = e.core.Append(e.w.scratch[:0], 16<<10)
		e.sock.Write(e.w.scratch)
	}
}

// What most roles do not care for.

func (e *h2end) Head(*h2.Stream, []h2.Field, bool)   {}
func (e *h2end) Interim(*h2.Stream, []h2.Field)      {}
func (e *h2end) TooLarge(*h2.Stream)                 {}
func (e *h2end) Data(s *h2.Stream, b []byte, _ bool) { e.core.Consumed(s, len(b)) }
func (e *h2end) Trailers(*h2.Stream, []h2.Field)     {}
func (e *h2end) Reset(*h2.Stream, h2.Cause)          {}
func (e *h2end) Done(*h2.Stream)                     {}
func (e *h2end) Room(*h2.Stream)                     {}
func (e *h2end) Refused(id uint32, why h2.Reason)    { e.w.violate("stream %d was refused: %s", id, why) }
func (e *h2end) Settings()                           {}
func (e *h2end) GoAway(uint32, h2.ErrorCode, []byte) {}
func (e *h2end) NoticeAcked()                        {}
func (e *h2end) Pong()                               {}

// pair makes a field.
func pair(name, value string) h2.Field { return h2.Field{Name: []byte(name), Value: []byte(value)} }

// fieldOf is the value of a field of a head; nil: it is not there.
func fieldOf(fields []h2.Field, name string) []byte {
	for i := range fields {
		if string(fields[i].Name) == name {
			return fields[i].Value
		}
	}
	return nil
}
